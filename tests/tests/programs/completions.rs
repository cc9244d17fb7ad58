//! Completion, as bash does it with the script that it is given.

use aulos_tests::server::{Server, aulosctl, text};

use crate::Home;

/// What bash offers for words whose last one is being written.
fn offered(home: &Home, socket: &std::path::Path, words: &[&str]) -> Vec<String> {
    const SCRIPT: &str = r#"
        source <(aulosctl completions bash)
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        COMP_LINE="$*"
        COMP_POINT=${#COMP_LINE}
        COMP_TYPE=9
        spec=$(complete -p aulosctl)
        function=${spec##*-F }
        "${function%% *}" aulosctl "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let programs = aulosctl().parent().unwrap().to_owned();
    let path = std::env::join_paths([programs, "/usr/bin".into(), "/bin".into()]).unwrap();
    let output = home
        .command("bash".as_ref())
        .args(["--norc", "-c", SCRIPT, "bash"])
        .args(words)
        .env("PATH", path)
        .env("AULOS_SOCKET", socket)
        .output()
        .unwrap();
    assert_eq!(text(&output.stderr), "", "{words:?}");
    text(&output.stdout).lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

#[test]
fn names_come_from_the_running_server() {
    let home = Home::new();
    let server = Server::stepped();
    for words in ["track add drums", "track add drone", "bus add room", "session set --name x"] {
        server.ok(words);
    }
    server.ok(&format!("session new {} --discard", home.path("evening").display()));
    for words in [
        "track add drums",
        "track add drone",
        "bus add room",
        "clip add drums /usr/share/sounds/alsa/Noise.wav",
    ] {
        server.ok(words);
    }
    let offers = |words: &[&str]| offered(&home, &server.socket(), words);
    assert_eq!(offers(&["aulosctl", "unli"]), ["unlink"]);
    assert_eq!(offers(&["aulosctl", "set", "dr"]), ["drums", "drone"]);
    assert_eq!(offers(&["aulosctl", "mute", "drums", "ro"]), ["room"]);
    assert_eq!(offers(&["aulosctl", "set", "room", "solo_"]), ["solo_safe"]);
    assert_eq!(offers(&["aulosctl", "set", "drums/ga"]), ["drums/gain"]);
    assert_eq!(offers(&["aulosctl", "set", "drums/mute", "o"]), ["on", "off"]);
    assert_eq!(offers(&["aulosctl", "set", "drums", "mute", "of"]), ["off"]);
    assert_eq!(offers(&["aulosctl", "link", "drums", "mas"]), ["master"]);
    assert_eq!(offers(&["aulosctl", "link", "drums:out", "master:in_L"]), ["master:in_L"]);
    assert_eq!(offers(&["aulosctl", "click", "add", "--to", "ro"]), ["room"]);
    assert_eq!(offers(&["aulosctl", "reorder", "room", "--before", "dro"]), ["drone"]);
    let clips = offers(&["aulosctl", "clip", "rm", "drums", ""]);
    let clips: Vec<_> = clips.iter().filter(|word| !word.starts_with("--")).collect();
    assert!(clips.len() == 1 && clips[0].parse::<u64>().is_ok(), "{clips:?}");
    assert!(offers(&["aulosctl", "node", "add", "tra"]).contains(&"track".to_owned()));
    // A new name is nobody's.
    assert!(offers(&["aulosctl", "bus", "add", "dr"]).is_empty());
}

#[test]
fn without_a_server_words_are_completed_and_nobody_complains() {
    let home = Home::new();
    let nobody = home.path("nobody.sock");
    assert_eq!(offered(&home, &nobody, &["aulosctl", "unli"]), ["unlink"]);
    assert!(offered(&home, &nobody, &["aulosctl", "mute", "dr"]).is_empty());
    assert_eq!(offered(&home, &nobody, &["aulosctl", "render", "x.wav", "--dither", "t"]), ["tpdf"]);
    // One that takes connections and never answers keeps nobody waiting for long.
    let deaf = home.path("deaf.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&deaf).unwrap();
    assert!(offered(&home, &deaf, &["aulosctl", "mute", "dr"]).is_empty());
    // A broken configuration is no reason to write over the line that is being edited.
    home.write("config/aulos/aulos.toml", "[driver");
    assert!(offered(&home, std::path::Path::new(""), &["aulosctl", "mute", "dr"]).is_empty());
}
