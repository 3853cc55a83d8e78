use super::*;

fn parse(text: &str) -> Result<Config, Errors> {
    Config::parse(text, Path::new("test.toml"), &|name| (name == "TOKEN").then(|| "secret".to_owned()))
}

#[test]
fn the_default_is_complete() {
    let config = parse(DEFAULT).expect("valid");
    assert!(config.sandbox.enabled && config.is_loopback());
    assert!(!parse("").expect("an empty file is the default without the sandbox").sandbox.enabled);
}

#[test]
fn mistakes_name_file_key_and_remedy() {
    for (text, expected) in [
        ("[server]\nlisen = 'x'", "test.toml: server.lisen: unknown setting; did you mean `listen`?"),
        ("channels = 5", "test.toml: channels: expected tables; write [channels.NAME]"),
        ("[channels]\nprovider = 'p'", "test.toml: channels.provider: expected a table; write [channels.provider]"),
        ("limits = 'x'", "test.toml: limits: expected tables"),
        ("[server]\nlisten = 5\nmax_body = '4 apples'", "test.toml: server.max_body: "),
        ("[server]\nlisten = 5\nmax_body = '4 apples'", "test.toml: server.listen: "),
        ("[sever]", "test.toml: sever: unknown section; did you mean `server`?"),
        ("[channels.a]\nprovider='p'\ntoken='${NOPE}'", "test.toml: channels.a.token: the environment variable NOPE is not set"),
        ("[channels.A_b]\nprovider='p'", "test.toml: channels.A_b: not a name"),
        ("[channels.a]\nprovider='p'\napp='x'", "test.toml: channels.a: there is no [apps.x]"),
        ("[channels.a]\nprovider='p'\nlimits=['x']", "test.toml: channels.a.limits: there is no [limits.x]"),
        ("[log]\nkind='kafka'", "test.toml: log.brokers: missing"),
        ("[log]\nkind='kafak'", "test.toml: log.kind: "),
        ("[channels.a.throttle]\nrate='80'\n[channels.a]\nprovider='p'", "test.toml: channels.a.throttle.rate: `80` is not a rate"),
        ("[apps.a]\nprovider='p'\n[channels.a]\nprovider='p'", "an app has the same name"),
        ("[channels.a]\nprovider='p'\nmailboxes=['x.example']", "test.toml: channels.a.mailboxes: nothing takes mail"),
        ("[server.smtp]\nlisten='127.0.0.1:0'\nrequire_tls=true", "test.toml: server.smtp.require_tls: there is no certificate"),
        ("[server.smtp]\nlisten='127.0.0.1:0'\nhost='x'", "test.toml: server.smtp"),
    ] {
        let errors = parse(text).expect_err(text).to_string();
        assert!(errors.contains(expected), "{text}\n{errors}");
    }
}

#[test]
fn text_takes_environment_and_defaults() {
    let config = parse("[channels.a]\nprovider='p'\ntoken='x-${TOKEN}-${OTHER:-d}'").expect("valid");
    assert_eq!(config.channels["a"].settings["token"], "x-secret-d");
}
