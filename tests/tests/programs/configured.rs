//! The configuration file, as the two programs take it.

use aulos_protocol::client::Client;
use aulos_tests::server::aulosd;

use crate::{Home, told, wait_until};

#[test]
fn a_server_does_what_is_configured_unless_somebody_says_otherwise() {
    let home = Home::new();
    home.write(
        "config/aulos/aulos.toml",
        "[server]\nsocket = \"s\"\n[driver]\nname = \"stepped\"\nblock = 77\nrate = 44100\n",
    );
    let socket = home.path("config/aulos/s");
    for (args, block, rate) in
        [(&[][..], 77, 44_100), (&["--block", "99"], 99, 44_100), (&["--rate=96000"], 77, 96_000)]
    {
        let mut server = home.daemon().args(args).env("AULOS_LOG", "error").spawn().unwrap();
        wait_until("the server answers", || Client::connect(&socket).is_ok());
        // The command line finds it by the same file.
        let status: serde_json::Value = serde_json::from_str(&home.say("--json status")).unwrap();
        assert_eq!((&status["driver"]["block"], &status["rate"]), (&block.into(), &rate.into()), "{args:?}");
        assert_eq!(status["driver"]["name"], "stepped");
        home.say("shutdown");
        assert!(server.wait().unwrap().success());
    }
    // The environment comes before the file.
    let mut ctl = home.ctl();
    let (code, _, err) = told(&ctl.arg("status").env("AULOS_SOCKET", home.path("nobody")).output().unwrap());
    assert!(code == 3 && err.contains("nobody"), "{err}");
}

#[test]
fn a_broken_configuration_is_refused_with_file_and_line() {
    let home = Home::new();
    for (text, line, part, expected) in [
        ("[driver]\nblok = 2\n", 2, "no setting \"blok\"", "expected one of name"),
        ("\n[driver]\nblock = 0\n", 3, "0 is not in 1..=65536", "expected "),
        ("[driver]\nname = \"tape\"\n", 2, "name", "possible values"),
        ("[server]\nplay = 1\n", 2, "play cannot be that", "true or false"),
        ("[server]\nlog = \"shout\"\n", 2, "\"shout\" is no level", "off, error, warn"),
        ("[server\n", 1, "", "TOML"),
    ] {
        home.write("config/aulos/aulos.toml", text);
        let (code, out, err) = told(&home.daemon().output().unwrap());
        assert_eq!((code, out.as_str()), (2, ""), "{text:?}: {err}");
        let place = format!("{}:{line}: ", home.path("config/aulos/aulos.toml").display());
        for part in [&place, part, expected] {
            assert!(err.contains(part), "{part:?} is not in: {err}");
        }
    }
    // A misspelt level would let nothing through, not even why the server ends.
    let mut misspelt = home.daemon();
    misspelt.env("AULOS_CONFIG", "").args(["--session", "gone"]);
    for command in
        [misspelt.args(["--log", "wran"]), home.daemon().env("AULOS_CONFIG", "").env("AULOS_LOG", "Wran")]
    {
        let (code, _, err) = told(&command.output().unwrap());
        assert!(code == 2 && err.to_lowercase().contains("\"wran\" is no level"), "{err}");
    }
    // Nobody writes to this one.
    assert!(std::process::Command::new("mkfifo").arg(home.path("fifo")).status().unwrap().success());
    let mut waits = home.command("timeout".as_ref());
    let waits = waits.arg("20").arg(aulosd()).args(["--config", "fifo"]);
    let (code, _, err) = told(&waits.output().unwrap());
    assert!(code == 2 && err.contains("fifo is no file"), "{code} {err}");
    let (code, _, err) = home.run("status");
    assert!(code == 1 && err.contains("aulos.toml:1: "), "{err}");
    // It can be left out, and another can be named, which must be there.
    let (code, _, err) = told(&home.daemon().args(["--config", "other.toml"]).output().unwrap());
    assert!(code == 2 && err.contains("other.toml"), "{err}");
    let mut ctl = home.ctl();
    let (code, _, err) = told(&ctl.arg("status").env("AULOS_CONFIG", "").output().unwrap());
    assert_eq!(code, 3, "{err}");
}

#[test]
fn what_is_shown_is_a_configuration() {
    let home = Home::new();
    let user = home.path("config/aulos/aulos.toml");
    assert_eq!(home.say("config path").lines().next().unwrap(), format!("{}  (not there)", user.display()));
    home.write("config/aulos/aulos.toml", "[driver]\nblock = 64 # small\n");
    assert_eq!(home.say("config path").lines().next().unwrap(), user.display().to_string());
    let shown = home.say("config show");
    assert!(shown.contains(&format!("# From {}:2.\nblock = 64\n", user.display())), "{shown}");
    assert!(shown.contains("# rate = 48000\n"), "{shown}");
    home.write("config/aulos/aulos.toml", &shown);
    assert_eq!(home.say("config show").matches("\nblock = 64\n").count(), 1);
    let json: serde_json::Value = serde_json::from_str(&home.say("--json config show")).unwrap();
    assert_eq!(json["driver.block"]["value"], "64");
    assert_eq!(json.as_object().unwrap().len(), 1);
}
