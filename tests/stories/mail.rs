//! Mail in through our own listener and out through a mail server, each spoken with by a program that is not ours.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::World;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}

/// The Python with the mail server and the DKIM library of others; `tests/mail/install.sh` makes it.
fn python() -> String {
    let output = Command::new(root().join("tests/mail/install.sh")).output().expect("tests/mail/install.sh runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A mail server that wants TLS and a password, and writes what it takes into a folder.
struct Sink {
    child: Child,
    folder: tempfile::TempDir,
    port: u16,
    python: String,
}

impl Sink {
    fn start() -> Self {
        let (folder, port, python) = (tempfile::tempdir().expect("a folder"), free_port(), python());
        let log = fs::File::create(folder.path().join("sink.log")).expect("a log file");
        let child = Command::new(&python)
            .arg(root().join("tests/mail/sink.py"))
            .args([folder.path().to_str().expect("a path"), &port.to_string()])
            .stdout(Stdio::from(log.try_clone().expect("a handle")))
            .stderr(Stdio::from(log))
            .spawn()
            .expect("the mail server starts");
        let sink = Self { child, folder, port, python };
        let until = Instant::now() + Duration::from_secs(30);
        while !sink.path("ready").exists() {
            assert!(Instant::now() < until, "the mail server is not ready: {}", sink.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        sink
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("sink.log")).unwrap_or_default()
    }

    /// The mails it took, oldest first: their envelopes as JSON, and themselves.
    fn mails(&self) -> Vec<(Value, String)> {
        let mut found: Vec<PathBuf> = fs::read_dir(self.folder.path())
            .expect("a folder")
            .flatten()
            .map(|e| e.path())
            .filter(|p| p.extension().is_some_and(|e| e == "json"))
            .collect();
        found.sort();
        let read = |path: &Path| fs::read_to_string(path).expect("readable");
        found.iter().map(|p| (serde_json::from_str(&read(p)).expect("JSON"), read(&p.with_extension("eml")))).collect()
    }

    /// What the DKIM library of others says of a mail.
    fn verifies(&self, number: usize) -> String {
        let output = Command::new(&self.python)
            .arg(root().join("tests/mail/verify.py"))
            .args([self.path(&format!("{number:03}.eml")), self.path("dkim.txt")])
            .output()
            .expect("it runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    /// The channel that sends through it and takes mail for `in.acme.example`.
    fn channel(&self, listen: u16) -> String {
        format!(
            "[server.smtp]\nlisten = \"127.0.0.1:{listen}\"\nhostname = \"mx.acme.example\"\ntls = {{ cert = \"{0}/cert.pem\", key = \"{0}/key.pem\" }}\n\
             [channels.desk]\nprovider = \"email\"\n\
             mailboxes = [\"in.acme.example\"]\ntransport = \"smtp\"\nhost = \"localhost\"\nport = {1}\ntls = \"starttls\"\ntls_ca = \"file:{0}/cert.pem\"\n\
             username = \"acme\"\npassword = \"fake-password\"\nfrom = \"Acme Desk <desk@in.acme.example>\"\nhook_secret = \"fake-hook-secret\"\n\
             bounce_address = \"bounce@in.acme.example\"\ndkim_selector = \"s1\"\ndkim_private_key = \"file:{0}/dkim.pem\"\n",
            self.folder.path().display(),
            self.port
        )
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Delivers with swaks; its exit code and what it said.
fn swaks(port: u16, more: &[&str]) -> (i32, String) {
    let output = Command::new("swaks")
        .args(["--server", "127.0.0.1", "--port", &port.to_string(), "--from", "ann@example.net", "--timeout", "20"])
        .args(more)
        .output()
        .expect("swaks runs; tests/run.sh installs it: apt-get install swaks");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

/// The header of a mail, unfolded.
fn header(mail: &str, name: &str) -> String {
    let head = mail.replace("\r\n", "\n").split("\n\n").next().unwrap_or_default().replace("\n ", " ").replace("\n\t", " ");
    let found = head.lines().find(|l| l.to_lowercase().starts_with(&format!("{}:", name.to_lowercase())));
    found.map(|l| l[name.len() + 1..].trim().to_owned()).unwrap_or_default()
}

/// The sentence the work was given by: a mail with an attachment and quoted history becomes one event with the new text, the
/// attachment and the thread, and the reply goes into the same conversation.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_becomes_an_event_and_the_answer_stays_in_its_thread() {
    let (sink, listen) = (Sink::start(), free_port());
    let world = World::start(&sink.channel(listen)).await;
    let (code, said) = swaks(listen, &["--to", "nobody@other.example", "--quit-after", "RCPT"]);
    assert!(code != 0 && said.contains("550 5.1.1"), "{said}");

    let picture = sink.path("boat.png");
    fs::write(&picture, b"\x89PNG\r\n\x1a\nnot much of a picture\n.\r\n..\n").expect("written");
    let mail = [
        "--to",
        "desk@in.acme.example",
        "--header",
        "Subject: Re: Order 77",
        "--header",
        "Message-ID: <second@mail.example.net>",
        "--header",
        "In-Reply-To: <first@in.acme.example>",
        "--header",
        "References: <root@mail.example.net> <first@in.acme.example>",
        "--header",
        "Date: Fri, 20 Nov 2026 10:00:00 +0100",
        "--attach-type",
        "text/plain",
        "--attach-body",
        "Yes please, the blue one.\n.\n\nOn Fri, Acme wrote:\n> Which one?\n",
        "--attach-type",
        "image/png",
        "--attach-name",
        "boat.png",
        "--attach",
        &format!("@{}", picture.display()),
    ];
    // Over STARTTLS: swaks gives up when it is not offered.
    let (code, said) = swaks(listen, &[&mail[..], &["--tls"]].concat());
    assert!(code == 0 && said.contains("TLS started") && said.contains("250 2.0.0"), "{said}");
    world.until("the event", 10, async |w| !w.events("fairway.message.received").await.is_empty()).await;
    let event = world.events("fairway.message.received").await.remove(0);
    let data = &event["data"];
    let parts = data["message"]["parts"].as_array().expect("parts");
    assert_eq!(parts.len(), 2, "{event:#}");
    assert_eq!(parts[0]["text"], "Yes please, the blue one.\n.", "{event:#}");
    assert!(parts[0]["full_text"].as_str().is_some_and(|t| t.contains("> Which one?")), "{event:#}");
    assert_eq!((&data["message"]["subject"], &data["from"]["address"]), (&json!("Re: Order 77"), &json!("mailto:ann@example.net")));
    assert_eq!(data["conversation"], "desk/mailto:ann@example.net#root@mail.example.net", "{event:#}");
    assert_eq!(parts[1]["media"]["filename"], "boat.png");
    // The attachment is there as soon as the event is, byte for byte.
    let path = parts[1]["media"]["url"].as_str().and_then(|u| u.splitn(4, '/').nth(3)).expect("a link").to_owned();
    world.until("the attachment", 5, async |w| w.ask("GET", &format!("/{path}"), None).await.is_ok_and(|r| r.status.is_success())).await;
    let kept = world.ask("GET", &format!("/{path}"), None).await.expect("an answer");
    assert_eq!(kept.body, fs::read(&picture).expect("readable"));

    let reply = json!({ "conversation": data["conversation"], "reply_to": data["message"]["id"],
        "parts": [{ "type": "text", "text": "It is on its way." }, { "type": "image", "media": { "id": parts[1]["media"]["id"], "filename": "boat.png", "mime_type": "image/png" } }] });
    let (status, accepted) = world.post("/v1/messages", &reply).await;
    assert_eq!(status, 202, "{accepted}");
    let id = accepted["id"].as_str().expect("an id").to_owned();
    world.reaches(&id, &["sent"], 20).await;
    let mails = sink.mails();
    let (envelope, mail) = &mails[0];
    assert_eq!(
        (&envelope["to"], &envelope["tls"], &envelope["user"]),
        (&json!(["ann@example.net"]), &json!(true), &json!("acme")),
        "{envelope}"
    );
    assert_eq!(envelope["from"], format!("bounce+{id}@in.acme.example"));
    assert_eq!(header(mail, "In-Reply-To"), "<second@mail.example.net>");
    assert_eq!(header(mail, "References"), "<root@mail.example.net> <second@mail.example.net>");
    assert_eq!(sink.verifies(0), "pass", "{mail}");
    assert_eq!(envelope["files"], json!([{ "name": "boat.png", "type": "image/png", "sha256": parts[1]["media"]["sha256"] }]));

    // She answers our answer: the same conversation.
    let ours = header(mail, "Message-ID");
    let third = format!(
        "From: Ann <ann@example.net>\nTo: desk@in.acme.example\nSubject: Re: Order 77\nMessage-ID: <third@mail.example.net>\n\
         In-Reply-To: {ours}\nReferences: <root@mail.example.net> <second@mail.example.net>\n {ours}\n\nThank you!\n\n> It is on its way.\n"
    );
    fs::write(sink.path("third.eml"), third).expect("written");
    // Twice, as a server that heard no answer sends it: one event.
    for _ in 0..2 {
        let (code, said) = swaks(listen, &["--to", "desk@in.acme.example", "--data", &format!("@{}", sink.path("third.eml").display())]);
        assert_eq!(code, 0, "{said}");
    }
    world.until("her answer", 10, async |w| w.events("fairway.message.received").await.len() == 2).await;
    let second = world.events("fairway.message.received").await.remove(1);
    assert_eq!(second["data"]["conversation"], data["conversation"], "{second:#}");
    assert_eq!(second["data"]["message"]["reply_to"]["message_id"], json!(id), "{second:#}");
    assert_eq!(second["data"]["message"]["parts"][0]["text"], "Thank you!");

    // It comes back: the bounce to the address that names the message makes it failed.
    let report = fs::read_to_string(root().join("tests/mail/bounce.eml")).expect("readable").replace("@ID@", &id);
    fs::write(sink.path("bounce.eml"), report).expect("written");
    let bounce =
        ["--from", "<>", "--to", &format!("bounce+{id}@in.acme.example"), "--data", &format!("@{}", sink.path("bounce.eml").display())];
    let (code, said) = swaks(listen, &bounce);
    assert_eq!(code, 0, "{said}");
    assert_eq!(world.events("fairway.message.received").await.len(), 2, "neither the repeated mail nor the bounce is a message");
    let failed = world.reaches(&id, &["failed"], 10).await;
    assert!(failed.to_string().contains("mailbox_unknown"), "{failed:#}");
}

/// What a mail server says decides what becomes of a message, and silence after the mail leaves it in doubt.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_refuses_or_falls_silent() {
    let (sink, listen) = (Sink::start(), free_port());
    let world = World::start(&sink.channel(listen)).await;
    let send = async |to: &str| {
        let body = json!({ "to": format!("mailto:{to}"), "channel": "desk", "category": "marketing", "priority": "bulk", "parts": [{ "type": "text", "text": "Hello" }] });
        let (status, accepted) = world.post("/v1/messages", &body).await;
        assert_eq!(status, 202, "{accepted}");
        accepted["id"].as_str().expect("an id").to_owned()
    };
    let refused = send("refused@example.net").await;
    let silent = send("silent@example.net").await;
    let fine = send("fine@example.net").await;
    assert!(world.reaches(&refused, &["failed"], 20).await.to_string().contains("mailbox_unknown"));
    world.reaches(&silent, &["in_doubt"], 20).await;
    world.reaches(&fine, &["sent"], 20).await;
    let mails = sink.mails();
    let mail = &mails.iter().find(|(envelope, _)| envelope["to"] == json!(["fine@example.net"])).expect("the mail").1;
    assert_eq!(header(mail, "List-Unsubscribe-Post"), "List-Unsubscribe=One-Click");
    let link = header(mail, "List-Unsubscribe").split('>').next().unwrap_or_default().trim_start_matches('<').to_owned();
    let path = format!("/{}", link.splitn(4, '/').nth(3).expect("a path"));
    // A scanner looks at the link: nothing happens. One click unsubscribes.
    assert!(world.ask("GET", &path, None).await.expect("an answer").status.is_success());
    assert!(world.events("fairway.contact.consent").await.is_empty());
    let click = fairway_adapters::contract::Call::form(world.url(&path), &[("List-Unsubscribe", "One-Click")]);
    assert!(world.call(&click).await.expect("an answer").status.is_success());
    world.until("the consent", 10, async |w| w.events("fairway.contact.consent").await.len() == 1).await;
    let consent = world.events("fairway.contact.consent").await.remove(0);
    assert_eq!((&consent["data"]["state"], &consent["data"]["scope"]), (&json!("opted_out"), &json!("marketing")), "{consent:#}");
}

/// A newcomer without any account: the simulated service writes to us, takes our answer with a file, and says what became of it.
#[tokio::test(flavor = "multi_thread")]
async fn mail_works_in_the_sandbox() {
    let world = World::start("").await;
    let (status, said) =
        world.post("/sandbox-control/email/act", &json!({ "person": "mailto:ana@example.org", "image": "Our boat" })).await;
    assert_eq!(status, 200, "{said}");
    world.until("the event", 10, async |w| w.events("fairway.message.received").await.len() == 1).await;
    let event = world.events("fairway.message.received").await.remove(0);
    let media = &event["data"]["message"]["parts"][1]["media"];
    assert!(event["data"]["message"]["parts"][0]["text"] == "Our boat" && media["status"] == "ready", "{event:#}");
    let reply = json!({ "conversation": event["data"]["conversation"], "reply_to": event["data"]["message"]["id"],
        "parts": [{ "type": "text", "text": "Beautiful!" }, { "type": "image", "media": { "id": media["id"], "mime_type": "image/png" } }] });
    let (status, accepted) = world.post("/v1/messages", &reply).await;
    assert_eq!(status, 202, "{accepted}");
    world.reaches(accepted["id"].as_str().expect("an id"), &["read"], 20).await;
    assert_eq!(world.books("email").await["accepted"], 1);
}
