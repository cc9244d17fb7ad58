//! Command lines of `aulosctl` that cannot be understood or are refused, and their exit codes.

use std::{
    fs,
    io::Write,
    os::unix::{net::UnixListener, process::ExitStatusExt},
    path::Path,
    process::{Command as Process, Output, Stdio},
};

use aulos_tests::server::{aulosctl, text};
use serde_json::Value as Json;

use crate::bench::{Bench, wait_until};

/// Words (`~` is a space within one), exit code, the code of the error, part of what is said.
type Row = (&'static str, i32, &'static str, &'static str);

/// What cannot be understood: the server is not even asked.
const USAGE: &[Row] = &[
    ("frobnicate", 2, "invalid_argument", "unrecognized subcommand"),
    ("stat", 2, "invalid_argument", "'status'"),
    ("node frobnicate", 2, "invalid_argument", "unrecognized subcommand"),
    ("status please", 2, "invalid_argument", "unexpected argument"),
    ("status --frobnicate", 2, "invalid_argument", "--frobnicate"),
    ("status --socket", 2, "invalid_argument", "a value is required"),
    ("status --timeout soon", 2, "invalid_argument", "a number of seconds"),
    ("status --timeout -1", 2, "invalid_argument", "-1"),
    ("track", 2, "", "Usage"),
    ("track add", 2, "invalid_argument", "<NAME>"),
    ("track add x --channels two", 2, "invalid_argument", "invalid digit"),
    ("track add x --channels -1", 2, "invalid_argument", "-1"),
    ("track add x --channels 65536", 2, "invalid_argument", "65536"),
    ("track add x --gain loud", 2, "invalid_argument", "a level such as -3dB"),
    ("track add x --gain 3dB+", 2, "invalid_argument", "relative to nothing"),
    ("track add x --pan middle", 2, "invalid_argument", "a position such as"),
    ("track add x gain", 2, "invalid_argument", "PARAM=VALUE"),
    ("track add x --gain 0 gain=1", 2, "invalid_argument", "given twice"),
    ("node add plugin x", 2, "invalid_argument", "possible values: input, output, track"),
    ("link drums", 2, "invalid_argument", "<TO>"),
    ("link drums: room", 2, "invalid_argument", "no end of a link"),
    ("link a:b:c room", 2, "invalid_argument", "no end of a link"),
    ("link drums room --gain 440Hz", 2, "invalid_argument", "a level such as"),
    ("link drums room --gain nan", 2, "invalid_argument", "a level such as"),
    ("set drums", 2, "invalid_argument", "VALUE"),
    ("set drums gain", 2, "invalid_argument", "lacks a value"),
    ("set drums/gain 0 0", 2, "invalid_argument", "too much"),
    ("set drums gain loud", 2, "invalid_argument", "a level such as"),
    ("set drums gain NaN", 2, "invalid_argument", "a level such as"),
    ("set drums gain inf", 2, "invalid_argument", "a level such as"),
    ("set drums gain 1e3", 2, "invalid_argument", "a level such as"),
    ("set drums gain 3Hz", 2, "invalid_argument", "a level such as"),
    ("set drums gain 3ms", 2, "invalid_argument", "a level such as"),
    ("set drums gain -5%", 2, "invalid_argument", "a level such as"),
    ("set drums gain ++3", 2, "invalid_argument", "a level such as"),
    ("set drums gain ~", 2, "invalid_argument", "a level such as"),
    ("set drums mute maybe", 2, "invalid_argument", "on, off or toggle"),
    ("set drums mute +1", 2, "invalid_argument", "on, off or toggle"),
    ("set drums pan 3dB", 2, "invalid_argument", "a position such as"),
    ("set sine frequency 3dB", 2, "invalid_argument", "a frequency such as"),
    ("set late frames 3Hz", 2, "invalid_argument", "a length such as"),
    ("clip add drums", 2, "invalid_argument", "<FILE>"),
    ("clip add drums x.wav --at 1.5", 2, "invalid_argument", "is no position"),
    ("clip add drums x.wav --at -1s", 2, "invalid_argument", "unexpected argument"),
    ("clip add drums x.wav --length 1:75", 2, "invalid_argument", "is no position"),
    ("clip add drums x.wav --offset 0|1", 2, "invalid_argument", "is no position"),
    ("clip rm drums first", 2, "invalid_argument", "invalid digit"),
    ("locate", 2, "invalid_argument", "<POS>"),
    ("locate soon", 2, "invalid_argument", "is no position"),
    ("locate 99999999999999999999", 2, "invalid_argument", "is no position"),
    ("loop 1|1", 2, "invalid_argument", "has no end"),
    ("loop off 0", 2, "invalid_argument", "is no position"),
    ("tempo 9.9", 2, "out_of_range", "10 to 1000 bpm"),
    ("tempo fast", 2, "invalid_argument", "is no tempo"),
    ("step", 2, "invalid_argument", "<BLOCK>"),
    ("step x", 2, "invalid_argument", "no length of a cycle"),
    ("step 64x", 2, "invalid_argument", "no length of a cycle"),
    ("step 1x1000001", 2, "invalid_argument", "more than 1000000 cycles"),
    ("render", 2, "invalid_argument", "OUT"),
    ("render x.wav --depth 8", 2, "invalid_argument", "16, 24, 32f"),
    ("render x.wav --format mp3", 2, "invalid_argument", "wav, flac"),
    ("render x.wav --rate 1", 2, "invalid_argument", "8000 to 384000 Hz"),
    ("render x.wav --tail forever", 2, "invalid_argument", "is no position"),
    ("session", 2, "", "Usage"),
    ("session new", 2, "invalid_argument", "<PATH>"),
    ("session new x --rate slow", 2, "invalid_argument", "8000 to 384000 Hz"),
    ("session set", 2, "invalid_argument", "--name, --fade or --max-latency"),
    ("meters --hz 0", 2, "invalid_argument", "1..=60"),
    ("meters --for 0", 2, "invalid_argument", "above 0"),
    ("watch --telemetry 61", 2, "invalid_argument", "1..=60"),
    ("operation show last", 2, "invalid_argument", "invalid digit"),
    ("raw status {", 2, "invalid_argument", "not JSON"),
    ("raw - {}", 2, "invalid_argument", "stdin"),
    ("batch bad.json", 2, "invalid_argument", "not a JSON list"),
    ("batch queries.json", 2, "invalid_argument", "no room for questions"),
    ("--dry-run play", 2, "invalid_argument", "no dry run"),
    ("--dry-run render x.wav", 2, "invalid_argument", "no dry run"),
];

/// What the server refuses.
const REFUSED: &[Row] = &[
    ("set drums gain 99", 1, "out_of_range", "-144 to 12 dB"),
    ("set sine frequency 30kHz", 1, "out_of_range", "1 to 20000 Hz"),
    ("set late frames 41s", 1, "out_of_range", "0 to 1920000 frames"),
    ("track add Drums", 1, "invalid_argument", "1 to 48 characters"),
    ("track add x --channels 65", 1, "out_of_range", "1 to 64 channels"),
    ("bus show drums", 1, "invalid_argument", "drums is a track, not a bus"),
    ("link drums:in room", 1, "invalid_argument", "cannot be the source"),
    ("link drums room --gain 150dB", 1, "out_of_range", "-144 to 144 dB"),
    ("locate 99999999s", 1, "out_of_range", "1099511627776"),
    ("loop 0 100", 1, "invalid_argument", "too short"),
    ("step 1025", 1, "out_of_range", "1 to 1024 frames"),
    ("redo", 1, "unavailable", "nothing to redo"),
    ("session save", 1, "unavailable", "no folder yet"),
    ("session open nowhere", 1, "unavailable", "--discard"),
    ("session new x", 1, "unavailable", "not saved"),
    ("session set --fade 2s", 1, "out_of_range", "0 to 1000 ms"),
    ("clip add room bad.json", 1, "invalid_argument", "only tracks have clips"),
    ("clip add drums bad.json", 1, "invalid_argument", "not an audio file"),
    ("clip add drums audio/none.wav", 1, "invalid_argument", "no folder yet"),
    ("render x.mp3 --to 1s", 1, "invalid_argument", ".wav or .flac"),
    ("render x.flac --depth 32f --to 1s", 1, "invalid_argument", "16 or 24 bits"),
    ("render x.wav", 1, "invalid_argument", "nothing after the start"),
    ("render x.wav --from 1s --to 1s", 1, "invalid_argument", "is empty"),
    ("raw lnik", 1, "invalid_request", "link"),
    ("raw set {\"node\":\"drums\"}", 1, "invalid_argument", "set do not fit"),
    ("batch missing.json", 1, "io", "missing.json"),
    ("batch loud.json", 1, "out_of_range", "command 1"),
    ("node show drms", 4, "not_found", "did you mean \"drums\"?"),
    ("node rm drms", 4, "not_found", "did you mean \"drums\"?"),
    ("set drms gain 0", 4, "not_found", "did you mean \"drums\"?"),
    ("set drums gian 0", 4, "not_found", "did you mean \"gain\"?"),
    ("get drums/gian", 4, "not_found", "one of gain, pan, mute"),
    ("track add x gian=0", 4, "not_found", "did you mean \"gain\"?"),
    ("link drums rooom", 4, "not_found", "did you mean \"room\"?"),
    ("link drums:uot room", 4, "not_found", "out_L"),
    ("unlink drums room", 4, "not_found", "are not linked"),
    ("clip rm drums 7", 4, "not_found", "clip on drums \"7\""),
    ("clip add drums nowhere.wav", 4, "not_found", "no audio file"),
    ("clip add drms bad.json", 4, "not_found", "did you mean \"drums\"?"),
    ("session open nowhere --discard", 4, "not_found", "no session in"),
    ("operation show 9", 4, "not_found", "operation \"9\""),
    ("operation cancel 9", 4, "not_found", "operation \"9\""),
    ("render nowhere/x.wav --to 1s", 4, "not_found", "no folder"),
    ("track add drums", 5, "exists", "another name"),
    ("link hall verb", 5, "cycle", "cycle: "),
    ("link room room", 5, "cycle", "room → room"),
    ("batch cycle.json", 5, "cycle", "command 1"),
];

fn run(bench: &Bench, words: &str, json: bool) -> Output {
    let words = words.split(' ').map(|word| word.replace('~', " "));
    bench.server.ctl(json.then(|| "--json".to_owned()).into_iter().chain(words))
}

fn go_through(table: &[Row]) {
    let mut bench = Bench::new();
    for (name, contents) in [
        ("bad.json", "{}"),
        ("queries.json", r#"[{"method":"status"}]"#),
        (
            "loud.json",
            r#"[{"method":"node_add","params":{"kind":"bus"}},
                {"method":"set","params":{"node":"drums","param":"gain","value":99}}]"#,
        ),
        (
            "cycle.json",
            r#"[{"method":"node_add","params":{"kind":"bus"}},
                {"method":"link","params":{"from":"hall","to":"room"}}]"#,
        ),
    ] {
        fs::write(bench.server.folder().join(name), contents).unwrap();
    }
    for (words, code, kind, part) in table {
        let output = run(&bench, words, false);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{words}: {told}");
        assert!(told.contains(part), "{part:?} is not in what {words} says: {told}");
        assert_eq!(text(&output.stdout), "", "{words}");
        bench.goes_on(words);
        if kind.is_empty() {
            // Words that are missing altogether get the help.
            continue;
        }
        let output = run(&bench, words, true);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "--json {words}: {told}");
        assert_eq!(text(&output.stdout), "", "--json {words}");
        let json: Json =
            serde_json::from_str(&told).unwrap_or_else(|e| panic!("--json {words}: {e}: {told}"));
        assert_eq!(json["error"]["code"], *kind, "--json {words}: {told}");
        assert!(
            json["error"]["message"].as_str().is_some_and(|message| !message.is_empty()),
            "{words}: {told}"
        );
        bench.goes_on(words);
    }
}

#[test]
fn words_that_cannot_be_understood_are_refused_with_what_was_expected() {
    go_through(USAGE);
}

#[test]
fn refusals_of_the_server_have_their_exit_codes() {
    go_through(REFUSED);
}

fn ctl(socket: &Path, words: &str) -> Output {
    Process::new(aulosctl())
        .args(words.split(' '))
        .env("AULOS_SOCKET", socket)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn servers_that_are_not_there_or_do_not_answer_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("file"), "").unwrap();
    drop(UnixListener::bind(path("dead.sock")).unwrap());
    for name in ["nothing.sock", "nowhere/control.sock", "file", "dead.sock", "."] {
        for words in ["status", "play", "render /tmp/x.wav", "meters --once", "watch", "raw -", "shutdown"] {
            let output = ctl(&path(name), words);
            let told = text(&output.stderr);
            assert_eq!(output.status.code(), Some(3), "{name}: {words}: {told}");
            assert!(told.contains("no server answers") && told.contains("aulosd"), "{told}");
        }
        let output = ctl(&path(name), "--json status");
        let json: Json = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(json["error"]["code"], "unreachable");
    }

    // One that takes connections and says nothing, then one that hangs up, then one that talks nonsense.
    let listener = UnixListener::bind(path("mute.sock")).unwrap();
    let output = ctl(&path("mute.sock"), "--timeout 0.05 status");
    assert_eq!(output.status.code(), Some(124), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("did not answer in time"));
    drop(listener);
    for (name, line, code, part) in [
        ("closing.sock", "", 3, "closed the connection"),
        ("nonsense.sock", "HTTP/1.1 400 Bad Request\r\n", 1, "cannot be read"),
        (
            "newer.sock",
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32007,\"message\":\"no\",\"data\":{\"code\":\"version\",\"message\":\"this server speaks protocol 9\"}}}\n",
            3,
            "speaks protocol 9",
        ),
    ] {
        let listener = UnixListener::bind(path(name)).unwrap();
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = String::new();
            std::io::BufRead::read_line(
                &mut std::io::BufReader::new(stream.try_clone().unwrap()),
                &mut asked,
            )
            .unwrap();
            stream.write_all(line.as_bytes()).unwrap();
        });
        let output = ctl(&path(name), "status");
        assert_eq!(output.status.code(), Some(code), "{name}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(part), "{name}: {}", text(&output.stderr));
        serving.join().unwrap();
    }
}

#[test]
fn a_render_that_is_interrupted_is_cancelled() {
    let mut bench = Bench::new();
    let out = bench.server.folder().join("endless.flac");
    let partial = bench.server.folder().join("endless.flac.partial");
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM] {
        let mut child = Process::new(aulosctl())
            .args(["render", "--to", "1000000s"])
            .arg(&out)
            .env("AULOS_SOCKET", bench.server.socket())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_until("the render writes", || {
            assert!(child.try_wait().unwrap().is_none(), "the render ends by itself");
            partial.exists()
        });
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), None);
        assert_eq!(output.status.code(), Some(128 + signal.as_raw()), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("cancelled"));
        assert!(!partial.exists() && !out.exists());
        bench.goes_on("an interrupted render");
    }
}
