// A message centre on node-smpp (github.com/farhadi/node-smpp), which is not ours: it reads what we write and writes what we read.
// Usage: node smsc.mjs FOLDER SMPP_PORT CONTROL_PORT
// What it accepts stands in FOLDER/accepted.ndjson before it answers, so that being killed loses nothing of it.
// With key.pem and cert.pem in FOLDER it speaks TLS.
// Receipts come in words alone, with decimal ids where the answers had hexadecimal ones, and are repeated until acknowledged.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import smpp from 'smpp';

const [folder, port, control] = process.argv.slice(2);
const file = (name) => path.join(folder, name);
const lines = (name) => (fs.existsSync(file(name)) ? fs.readFileSync(file(name), 'utf8').trim().split('\n').filter(Boolean).map(JSON.parse) : []);
const accepted = lines('accepted.ndjson');
const acknowledged = new Set(lines('acknowledged.ndjson'));
const sessions = new Set();
let holding = false;
let silent = false;
let held = [];
let throttled = 0;
let unanswered = 0;
let goodbyes = 0;
const refusals = [];

// The words of a message, and which part of which it is.
function read(pdu) {
  const payload = pdu.message_payload ?? pdu.short_message;
  const udh = payload?.udh?.[0] ?? payload?.udh;
  const words = payload?.message ?? payload ?? '';
  const part = udh && udh.length >= 5 && udh[0] === 0 ? { reference: udh[2], total: udh[3], number: udh[4] }
    : pdu.sar_total_segments ? { reference: pdu.sar_msg_ref_num, total: pdu.sar_total_segments, number: pdu.sar_segment_seqnum } : null;
  return { text: Buffer.isBuffer(words) ? words.toString('latin1') : words, part };
}

function take(session, pdu) {
  const { text, part } = read(pdu);
  if (text.startsWith('Too fast') && throttled < 3) {
    throttled += 1;
    session.send(pdu.response({ command_status: smpp.ESME_RTHROTTLED }));
    return;
  }
  if (text.startsWith('Refused')) {
    session.send(pdu.response({ command_status: smpp.ESME_RINVDSTADR }));
    return;
  }
  const number = 0x1000 + accepted.length;
  const entry = {
    number, id: number.toString(16), to: pdu.destination_addr, from: pdu.source_addr, text, part, coding: pdu.data_coding,
    registered: pdu.registered_delivery, ton: pdu.dest_addr_ton,
  };
  accepted.push(entry);
  fs.appendFileSync(file('accepted.ndjson'), JSON.stringify(entry) + '\n');
  if (holding) {
    held.push(entry);
    return;
  }
  session.send(pdu.response({ message_id: entry.id }));
  setTimeout(() => receipt(session, entry), 20);
}

function deliver(session, fields, done) {
  unanswered += 1;
  session.deliver_sm(fields, (answer) => {
    unanswered -= 1;
    done(answer.command_status);
  });
}

function receipt(session, entry) {
  if (silent || acknowledged.has(entry.number) || (entry.registered & 3) !== 1) return;
  const words = `id:${String(entry.number).padStart(10, '0')} sub:001 dlvrd:001 submit date:2611281015 done date:2611281016 stat:DELIVRD err:000 Text:${entry.text.slice(0, 20)}`;
  deliver(session, { source_addr: entry.to, destination_addr: entry.from, esm_class: 4, short_message: words }, (status) => {
    if (status !== 0 || acknowledged.has(entry.number)) return;
    acknowledged.add(entry.number);
    fs.appendFileSync(file('acknowledged.ndjson'), JSON.stringify(entry.number) + '\n');
  });
}

function write(session, order) {
  for (const piece of order.pieces) {
    const udh = piece.number ? Buffer.from([5, 0, 3, order.reference ?? 7, piece.total, piece.number]) : undefined;
    const short_message = udh ? { udh, message: piece.text } : piece.text;
    deliver(session, { source_addr: order.from, destination_addr: '14155550199', source_addr_ton: 1, source_addr_npi: 1, short_message }, () => {});
  }
}

const tls = fs.existsSync(file('key.pem')) ? { key: fs.readFileSync(file('key.pem')), cert: fs.readFileSync(file('cert.pem')) } : {};
const server = smpp.createServer(tls, (session) => {
  session.on('error', () => {});
  session.on('close', () => sessions.delete(session));
  session.on('bind_transceiver', (pdu) => {
    if (pdu.system_id !== 'fakeesme' || pdu.password !== 'fakepw1') {
      refusals.push(pdu.system_id);
      session.send(pdu.response({ command_status: smpp.ESME_RINVPASWD }));
      return session.close();
    }
    session.send(pdu.response({ system_id: 'SMSC' }));
    sessions.add(session);
    // What was not acknowledged on the connection before is delivered again.
    setTimeout(() => accepted.filter((e) => !held.includes(e)).forEach((entry) => receipt(session, entry)), 50);
  });
  session.on('submit_sm', (pdu) => take(session, pdu));
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => {
    goodbyes += 1;
    session.send(pdu.response());
    session.close();
  });
});

const commands = {
  '/hold': () => { holding = true; },
  // The connections break; what was held is never answered, but its receipts will come.
  '/cut': () => {
    holding = false;
    held = [];
    sessions.forEach((session) => session.destroy());
  },
  '/unbind': () => sessions.forEach((session) => session.unbind()),
  '/silent': (order) => { silent = order.silent; },
  '/write': (order) => sessions.forEach((session) => write(session, order)),
  '/raw': (order) => sessions.forEach((session) => session.socket.write(Buffer.from(order.hex, 'hex'))),
};

http.createServer((request, response) => {
  const body = [];
  request.on('data', (chunk) => body.push(chunk));
  request.on('end', () => {
    commands[request.url]?.(body.length ? JSON.parse(Buffer.concat(body)) : {});
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({
      accepted, acknowledged: acknowledged.size, held: held.length, throttled, unanswered, sessions: sessions.size, goodbyes, refusals: refusals.length,
    }));
  });
}).listen(Number(control), '127.0.0.1');
server.on('error', (e) => { console.error(e); process.exit(1); });
server.listen(Number(port), '127.0.0.1');
