//! Conversations with the port over a real socket.

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::*;

/// Takes mail for `acme.example` by hook `a`, for `b.example` by hook `b`.
#[derive(Default)]
struct Desk {
    taken: Mutex<Vec<(String, String, Vec<String>, Vec<u8>)>>,
    away: std::sync::atomic::AtomicBool,
}

impl Door for Desk {
    fn mailbox(&self, address: &str) -> Option<String> {
        match address.rsplit_once('@')?.1 {
            "acme.example" => Some("a".into()),
            "b.example" => Some("b".into()),
            _ => None,
        }
    }

    fn take<'a>(&'a self, hook: &'a str, from: &'a str, to: &'a [String], mail: &'a [u8]) -> Pending<'a, Taken> {
        Box::pin(async move {
            if self.away.load(Ordering::Relaxed) {
                return Taken::Later;
            }
            self.taken.lock().push((hook.into(), from.into(), to.to_vec(), mail.to_vec()));
            Taken::Durable
        })
    }
}

struct Talk {
    desk: Arc<Desk>,
    stream: BufReader<TcpStream>,
    stop: watch::Sender<bool>,
}

impl Talk {
    async fn begin(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options {
            hostname: "mx.acme.example".into(),
            max_message: 1000,
            max_connections: 1,
            require_tls: false,
            tls: None,
            patience: Duration::from_secs(5),
            mail_timeout: Duration::from_secs(5),
        };
        change(&mut options);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (desk, (stop, stopping)) = (Arc::new(Desk::default()), watch::channel(false));
        tokio::spawn(serve(listener, Arc::clone(&desk) as _, options, stopping));
        let stream = BufReader::new(TcpStream::connect(address).await.expect("a connection"));
        let mut talk = Self { desk, stream, stop };
        assert_eq!(talk.hear().await, "220 mx.acme.example ESMTP");
        talk
    }

    async fn hear(&mut self) -> String {
        let mut line = String::new();
        tokio::time::timeout(Duration::from_secs(5), self.stream.read_line(&mut line)).await.expect("in time").expect("a line");
        line.trim_end().to_owned()
    }

    /// Says this at once and hears as many replies as there should be, each to its last line.
    async fn say(&mut self, text: &str, expected: &[&str]) {
        self.stream.write_all(text.as_bytes()).await.expect("written");
        for expected in expected {
            let mut line = self.hear().await;
            while line.as_bytes().get(3) == Some(&b'-') {
                line = self.hear().await;
            }
            assert!(line.starts_with(expected), "{line} is not {expected}, after {text:?}");
        }
    }
}

#[tokio::test]
async fn a_pipelined_mail_goes_to_every_hook_once() {
    let mut talk = Talk::begin(|_| {}).await;
    talk.say("EHLO mail.example.net\r\n", &["250 SIZE 1000"]).await;
    let envelope = "MAIL FROM:<ann@example.net> SIZE=20 BODY=8BITMIME\r\nRCPT TO:<x@acme.example>\r\nRCPT TO:<nobody@c.example>\r\n\
                    RCPT TO:<y@acme.example>\r\nRCPT TO:<z@b.example>\r\nRCPT TO:<x@acme.example>\r\nDATA\r\n";
    talk.say(envelope, &["250 2.1.0", "250 2.1.5", "550 5.1.1", "250 2.1.5", "250 2.1.5", "250 2.1.5", "354"]).await;
    talk.say("Subject: x\r\n\r\n..Hi\r\n.\r\nMAIL FROM:<>\r\nQUIT\r\n", &["250 2.0.0", "250 2.1.0", "221"]).await;
    let mail = b"Subject: x\r\n\r\n.Hi\r\n".to_vec();
    let of = |hook: &str, to: &[&str]| {
        (hook.to_owned(), "ann@example.net".to_owned(), to.iter().map(ToString::to_string).collect(), mail.clone())
    };
    assert_eq!(*talk.desk.taken.lock(), [of("a", &["x@acme.example", "y@acme.example"]), of("b", &["z@b.example"])]);
}

#[tokio::test]
async fn what_cannot_be_stored_is_not_taken() {
    let mut talk = Talk::begin(|_| {}).await;
    talk.desk.away.store(true, Ordering::Relaxed);
    let begin = "EHLO a\r\nMAIL FROM:<ann@example.net>\r\nRCPT TO:<x@acme.example>\r\nDATA\r\n";
    talk.say(begin, &["250", "250", "250", "354"]).await;
    talk.say("Hi\r\n.\r\n", &["451 4.3.0"]).await;
    talk.desk.away.store(false, Ordering::Relaxed);
    // Everything must be said again, and then it is.
    talk.say("DATA\r\n", &["503"]).await;
    talk.say(begin, &["250", "250", "250", "354"]).await;
    talk.say("Hi\r\n.\r\n", &["250 2.0.0"]).await;
}

#[tokio::test]
async fn limits_are_told() {
    let mut talk = Talk::begin(|_| {}).await;
    talk.say("MAIL FROM:<ann@example.net>\r\nNONSENSE\r\nAUTH PLAIN AGEAYg==\r\nSTARTTLS\r\n", &["503", "500", "502", "502"]).await;
    talk.say("EHLO a\r\nMAIL FROM:<ann@example.net> SIZE=1001\r\n", &["250", "552 5.3.4"]).await;
    talk.say("MAIL FROM:<ann@example.net> MT-PRIORITY=x\r\nMAIL FROM:<a b>\r\n", &["5", "5"]).await;
    let begin = "MAIL FROM:<ann@example.net>\r\nRCPT TO:<x@acme.example>\r\nDATA\r\n";
    talk.say(begin, &["250", "250", "354"]).await;
    talk.say(&format!("{}\r\n.\r\n", "x".repeat(1001)), &["552 5.3.4"]).await;
    talk.say(begin, &["250", "250", "354"]).await;
    talk.say("a\n.\r\nMAIL FROM:<mallory@example.net>\r\n.\r\n", &["550 5.5.2"]).await;
    assert!(talk.desk.taken.lock().is_empty());
    let wrong = "MAIL FROM:<ann@example.net>\r\n".to_owned() + &"RCPT TO:<x@c.example>\r\n".repeat(40);
    talk.stream.write_all(wrong.as_bytes()).await.expect("written");
    let mut rest = String::new();
    let _ = talk.stream.read_to_string(&mut rest).await;
    assert!(rest.contains("550 5.1.1") && rest.trim_end().ends_with("421 4.7.0 too many mistakes"), "{rest}");
}

#[tokio::test]
async fn mail_is_taken_over_tls_where_that_is_wanted() {
    let mut talk = Talk::begin(|options| options.require_tls = true).await;
    talk.say("EHLO a\r\nMAIL FROM:<ann@example.net>\r\n", &["250", "530 5.7.0"]).await;
}

#[tokio::test]
async fn connections_have_a_limit_and_the_last_word_is_ours() {
    let mut talk = Talk::begin(|_| {}).await;
    let second = TcpStream::connect(talk.stream.get_ref().peer_addr().expect("an address")).await.expect("a connection");
    let mut line = String::new();
    BufReader::new(second).read_line(&mut line).await.expect("a line");
    assert!(line.starts_with("421 4.3.2"), "{line}");
    talk.stop.send(true).expect("heard");
    assert!(talk.hear().await.starts_with("421 4.3.2"));
}

#[test]
fn what_is_held_has_a_limit() {
    let all = AtomicUsize::new(HELD - 10);
    let room = Room::new(&all);
    assert!(room.grow(10));
    assert!(!Room::new(&all).grow(1));
    drop(room);
    assert_eq!(all.load(Ordering::Relaxed), HELD - 10);
}
