//! A channel's own way out: through a proxy, from an address of its own.

use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::world::World;
use crate::world_twin::host;

/// What a proxy was asked: by whom, for where, and with which login.
#[derive(Default)]
struct Asked(Mutex<Vec<(IpAddr, String, String)>>);

/// A proxy that tunnels for those who know its password.
async fn proxy(login: &'static str) -> (u16, Arc<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let asked = Arc::new(Asked::default());
    let shared = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, from)) = listener.accept().await {
            let asked = Arc::clone(&shared);
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let (mut target, mut given) = (String::new(), String::new());
                loop {
                    let mut line = String::new();
                    stream.read_line(&mut line).await?;
                    match line.trim_end().split_once(' ') {
                        Some(("CONNECT", rest)) => rest.split(' ').next().unwrap_or_default().clone_into(&mut target),
                        Some((name, value)) if name.eq_ignore_ascii_case("proxy-authorization:") => value.clone_into(&mut given),
                        Some(_) => {}
                        None => break,
                    }
                }
                let good = given == login;
                asked.0.lock().push((from.ip(), target.clone(), given));
                if !good {
                    return stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
                }
                let mut server = TcpStream::connect(target).await?;
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
                tokio::io::copy_bidirectional(&mut stream, &mut server).await.map(drop)
            });
        }
    });
    (port, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_leave_through_the_proxy_and_from_the_address_that_a_channel_names() {
    let provider = host("telegram").await;
    let (port, asked) = proxy("Basic dXNlcjpwYXNz").await;
    let egress = format!("[channels.tg.egress]\nproxy = \"http://user:pass@127.0.0.1:{port}\"\nsource_address = \"127.0.0.9\"\n");
    let world = World::start(&provider.channel("tg", &egress)).await;
    let send = async |text: &str| {
        let body = json!({ "to": "telegram:5550001", "channel": "tg", "parts": [{ "type": "text", "text": text }] });
        let (status, accepted) = world.post("/v1/messages", &body).await;
        assert_eq!(status, 202, "{accepted}");
        accepted["id"].as_str().expect("an id").to_owned()
    };
    let id = send("by way of the proxy").await;
    world.reaches(&id, &["sent"], 10).await;
    let first = asked.0.lock().first().cloned().expect("the proxy was asked");
    assert_eq!(first.0, IpAddr::from([127, 0, 0, 9]));
    assert_eq!(first.1, format!("127.0.0.1:{}", provider.port));
    assert_eq!(provider.accepted(), ["by way of the proxy"]);
    assert!(!world.log().contains("pass@") && !world.log().contains("dXNl"), "no login in the log");

    // A proxy that lets nobody through: the call has surely not been sent, and is tried again.
    let (closed, refused) = proxy("Basic of-somebody-else").await;
    world.rewrite(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{closed}"));
    assert!(
        std::process::Command::new("kill").args(["-HUP", &world.pid().expect("it runs").to_string()]).status().expect("kill").success()
    );
    world
        .until("the new way is in force", 10, async |_| {
            send("later").await;
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            !refused.0.lock().is_empty()
        })
        .await;
    world.until("it is tried again", 20, async |_| refused.0.lock().len() > 2).await;
    assert!(world.events("fairway.message.status").await.iter().all(|e| e["data"]["state"] != "in_doubt"), "nothing is in doubt");
    world.rewrite(&format!("127.0.0.1:{closed}"), &format!("127.0.0.1:{port}"));
    assert!(
        std::process::Command::new("kill").args(["-HUP", &world.pid().expect("it runs").to_string()]).status().expect("kill").success()
    );
    let id = send("last").await;
    world.reaches(&id, &["sent"], 40).await;
    let told = provider.accepted();
    assert!(told.iter().filter(|t| *t == "later").count() >= 1 && told.last().is_some_and(|t| t == "last"), "{told:?}");
}
