//! What a driver plays, written to a file.

use aulos_protocol::client::Client;
use aulos_tests::server::{aulosd, read_wav};

use crate::{Home, started::session, told, wait_until};

/// Runs a server that may write files of so many bytes only, and plays more than fits into `name`. Answers with how
/// many frames it says that it has kept.
fn overrun(home: &Home, name: &str, most: u64) -> usize {
    let limit = format!("--fsize={most}:{most}");
    let mut server = home
        .command("prlimit".as_ref())
        .arg(limit)
        .arg(aulosd())
        .args([
            "--driver=stepped",
            "--block=1024",
            "--play",
            "--session=stage",
            "--socket=aulos/control.sock",
        ])
        .args(["--capture", name])
        .spawn()
        .unwrap();
    wait_until("it answers", || Client::connect(&home.path("aulos/control.sock")).is_ok());
    for _ in 0..12 {
        home.say("step 1024x90");
    }
    let mut said = String::new();
    wait_until("it says so", || {
        let status: serde_json::Value = serde_json::from_str(&home.say("--json status")).unwrap();
        let warnings = status["warnings"].as_array().unwrap();
        let warning =
            warnings.iter().find(|warning| warning.as_str().unwrap().contains("capture has stopped"));
        said = warning.map_or_else(String::new, |warning| warning.as_str().unwrap().to_owned());
        !said.is_empty()
    });
    // The file is there at once, and the server goes on.
    assert!(home.path(name).exists() && !home.path(&format!("{name}.partial")).exists());
    home.say("step 1024x10");
    home.say("shutdown");
    assert_eq!(server.wait().unwrap().code(), Some(1));
    let (_, rest) = said.split_once("is kept: ").unwrap();
    rest.split_once(" frames").unwrap().0.parse().unwrap()
}

#[test]
fn a_capture_that_finds_no_more_room_keeps_what_it_has_and_says_so_at_once() {
    let home = Home::new();
    session(&home);
    std::fs::create_dir_all(home.path("aulos")).unwrap();
    for (name, most) in [("take.wav", 400_003), ("take.flac", 100_000)] {
        let kept = overrun(&home, name, most);
        home.say(&format!("render stage played-{name} --to 10s"));
        let expected = home.path("played.wav");
        // The same samples in the same form, from a server without a limit.
        let from = |file: &str, to: &str| {
            let clip = format!("--json clip add tape {file}");
            let mut server = home.daemon();
            let args = ["--driver=stepped", "--log=warn", "--socket=aulos/control.sock"];
            let mut server = server.args(args).spawn().unwrap();
            wait_until("it answers", || Client::connect(&home.path("aulos/control.sock")).is_ok());
            for words in ["track add tape", "link tape master", &clip, &format!("render {to}")] {
                home.say(words);
            }
            home.say("shutdown");
            assert!(server.wait().unwrap().success());
            read_wav(&home.path(to))
        };
        let captured = from(name, "captured.wav");
        let expected_samples = from(&format!("played-{name}"), expected.to_str().unwrap());
        assert_eq!(captured[0].len(), kept, "{name}");
        assert!(kept > 30_000, "{name}: {kept}");
        for (captured, expected) in captured.iter().zip(&expected_samples) {
            assert!(captured.iter().any(|sample| sample.abs() > 0.01), "{name} is silent");
            assert!(captured[..] == expected[..kept], "{name} is not what was played");
        }
    }
}

#[test]
fn a_capture_is_refused_a_name_that_does_not_say_its_format() {
    let home = Home::new();
    for name in ["x.mp3", "x"] {
        let args = ["--driver=offline", "--frames=100", "--socket=s", "--capture", name];
        let (code, _, err) = told(&home.daemon().args(args).output().unwrap());
        assert!(code == 1 && err.contains("does not say which format") && err.contains(".flac"), "{err}");
        assert!(!home.path(name).exists());
    }
}
