//! Where load may go: loopback, and what the operator names. Nothing here resolves a name or opens a socket.

use http::Uri;

use crate::wire::Wire;

/// Arrivals of one run at most.
pub const MOST: u64 = 10_000_000;
/// Seconds of one run at most (a soak has its own bound).
pub const LONGEST: u64 = 3600;

/// Domains of the services that messages really go to. A gateway is none of them; a mistyped target may be.
const PROVIDERS: &[&str] = &[
    "amazonaws.com",
    "apple.com",
    "botframework.com",
    "discord.com",
    "facebook.com",
    "google.com",
    "googleapis.com",
    "hicloud.com",
    "huawei.com",
    "instagram.com",
    "kakao.com",
    "line.me",
    "mailgun.net",
    "microsoft.com",
    "mozilla.com",
    "nexmo.com",
    "office.com",
    "postmarkapp.com",
    "push.apple.com",
    "qq.com",
    "sendgrid.com",
    "sinch.com",
    "slack.com",
    "telegram.org",
    "toast.com",
    "twilio.com",
    "twitter.com",
    "viber.com",
    "vonage.com",
    "whatsapp.com",
    "whatsapp.net",
    "windows.com",
    "x.com",
];

/// What the operator has named.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// Hosts besides loopback.
    pub hosts: Vec<String>,
    /// Hosts of real providers, named a second time.
    pub providers: Vec<String>,
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn is_provider(host: &str) -> bool {
    PROVIDERS.iter().any(|domain| host == *domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')))
}

impl Named {
    /// Whether load may go to this host.
    ///
    /// # Errors
    /// What to do so that it may.
    pub fn allows(&self, host: &str) -> Result<(), String> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let named = |list: &[String]| list.iter().any(|h| h.eq_ignore_ascii_case(&host));
        if is_loopback(&host) {
            return Ok(());
        }
        if !named(&self.hosts) {
            return Err(format!("{host} is not loopback; name it with `--allow-host {host}` too if it is a gateway of yours"));
        }
        if is_provider(&host) && !named(&self.providers) {
            return Err(format!(
                "{host} belongs to a provider, and real people may stand behind it; a load test wants a gateway. \
                 If this is meant, say it a second time with `--allow-provider-host {host}`"
            ));
        }
        Ok(())
    }

    /// Reads a target's URL.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn target(&self, url: &str) -> Result<Wire, String> {
        let uri: Uri = url.parse().map_err(|_| format!("{url} is no URL; write `http://127.0.0.1:8080`"))?;
        if uri.scheme_str() != Some("http") {
            return Err("the target is reached by http:// alone; for TLS put your proxy between, and measure with it".into());
        }
        let host = uri.host().ok_or("the target names no host; write `http://127.0.0.1:8080`")?;
        self.allows(host)?;
        Ok(Wire::new(host.trim_matches(['[', ']']), uri.port_u16().unwrap_or(80)))
    }

    /// Checks the brokers of a Kafka, `host:port` with commas between.
    ///
    /// # Errors
    /// Which of them is not allowed.
    pub fn brokers(&self, list: &str) -> Result<(), String> {
        list.split(',').try_for_each(|one| self.allows(one.trim().rsplit_once(':').map_or(one.trim(), |(host, _)| host)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_goes_to_loopback_and_to_named_hosts() {
        let none = Named::default();
        assert!(none.target("http://127.0.0.1:8080").is_ok() && none.target("http://[::1]:8080").is_ok());
        assert!(none.target("http://localhost").is_ok());
        let refused = none.target("http://gateway.example.org:8080").expect_err("not named");
        assert!(refused.contains("--allow-host gateway.example.org"), "{refused}");
        // Names that only look like loopback.
        assert!(none.target("http://127.0.0.1.example.org").is_err() && none.target("http://localhost.example.org").is_err());
        let named = Named { hosts: vec!["gateway.example.org".into()], ..Named::default() };
        assert!(named.target("http://GATEWAY.example.org.:8080").is_ok());
        assert!(named.target("https://gateway.example.org").is_err());
    }

    #[test]
    fn a_provider_has_to_be_named_twice() {
        let host = "api.telegram.org".to_owned();
        let once = Named { hosts: vec![host.clone()], ..Named::default() };
        let refused = once.target("http://api.telegram.org").expect_err("named once");
        assert!(refused.contains("--allow-provider-host"), "{refused}");
        let twice = Named { hosts: vec![host.clone()], providers: vec![host] };
        assert!(twice.target("http://api.telegram.org").is_ok());
        assert!(is_provider("graph.facebook.com") && !is_provider("notfacebook.com"));
    }

    #[test]
    fn every_broker_is_checked() {
        let none = Named::default();
        assert!(none.brokers("127.0.0.1:9092,localhost:9093").is_ok());
        assert!(none.brokers("127.0.0.1:9092, kafka.example.org:9092").is_err());
    }
}
