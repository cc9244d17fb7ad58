//! The user's guide does what it says: every command of it and its pages is run, and what they show is printed.
//!
//! The blocks marked `sh` of a page are one script, which bash runs in a home of its own; a block marked `text` shows
//! what the block before prints: pieces of its lines, in this order.

use std::{
    fs,
    path::Path,
    process::{Command as Process, Output, Stdio},
};

use aulos_tests::server::{aulosctl, aulosd, project, text};

/// A block of shell commands, and what it is said to print.
#[derive(Debug, Default, PartialEq)]
struct Block {
    commands: Vec<String>,
    shows: Vec<String>,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside: Option<&str> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), inside) {
            (Some(_), Some(_)) => inside = None,
            (Some(kind), None) => {
                inside = Some(kind);
                if kind == "sh" {
                    blocks.push(Block::default());
                }
            }
            (None, Some("sh")) => blocks.last_mut().unwrap().commands.push(line.to_owned()),
            (None, Some("text")) => {
                let block = blocks.last_mut().expect("what is shown follows what was typed");
                block.shows.push(line.trim().to_owned());
            }
            (None, _) => {}
        }
    }
    assert_eq!(inside, None, "a block does not end");
    blocks
}

/// The shell goes on behind the failure of a command that is not the last of its line.
fn assert_nothing_hides_failures(page: &str, blocks: &[Block]) {
    for block in blocks {
        let mut file = false;
        for line in &block.commands {
            let said = line.split(" # ").next().unwrap_or(line);
            let hides = [" && ", " || ", "; "].iter().any(|between| said.contains(between));
            // A certain failure is no surprise, and loops are no lists.
            let allowed = file || line.contains("|| test $? = ") || line.starts_with("for ");
            assert!(!hides || allowed, "{page}: \"{line}\" hides failures");
            file = line.ends_with("<<'END'") || (file && line != "END");
        }
    }
}

/// One script of all blocks, which prints a line between them. What is started in the background is waited for until
/// it answers, as people do.
fn script(blocks: &[Block]) -> String {
    // Whatever happens, no server stays.
    let mut script = String::from(
        "set -eu -o pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\nservers=\n",
    );
    for (number, block) in blocks.iter().enumerate() {
        script.push_str(&format!("echo '=== block {number}'\n"));
        for line in &block.commands {
            script.push_str(line);
            script.push('\n');
            if line.ends_with('&') {
                script.push_str("servers=\"$servers $!\"\n");
                script.push_str(
                    "until aulosctl --quiet status >/dev/null 2>&1; do kill -0 $! || exit 99; sleep 0.05; done\n",
                );
            }
        }
    }
    // `wait` alone does not say how they ended.
    script.push_str("for server in $servers; do wait $server; done\n");
    script
}

/// A folder with both programs, by the names that people know.
fn programs(room: &Path) {
    let folder = room.join("bin");
    fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink(aulosd(), folder.join("aulosd")).unwrap();
    std::os::unix::fs::symlink(aulosctl(), folder.join("aulosctl")).unwrap();
}

/// Follows the page in a home of its own, and answers that.
fn follow(page: &str) -> tempfile::TempDir {
    follow_between(&[], page, &[])
}

/// The same between commands that the page takes for granted.
fn follow_between(before: &[&str], page: &str, after: &[&str]) -> tempfile::TempDir {
    let written = fs::read_to_string(project().join("docs/guide").join(page)).unwrap();
    let mut blocks = blocks(&written);
    assert!(blocks.len() >= 3, "{page} has hardly any commands");
    assert_nothing_hides_failures(page, &blocks);
    let block = |lines: &[&str]| Block {
        commands: lines.iter().map(|line| (*line).to_owned()).collect(),
        shows: Vec::new(),
    };
    blocks.insert(0, block(before));
    blocks.push(block(after));
    let room = tempfile::tempdir().unwrap();
    fs::create_dir(room.path().join("home")).unwrap();
    programs(room.path());
    run(page, &blocks, room.path());
    room
}

/// Runs `blocks` in the home that is in `room`, which must succeed, as must all that is in the background.
fn run(page: &str, blocks: &[Block], room: &Path) {
    let done = try_run(blocks, room);
    let (out, err) = (text(&done.stdout), text(&done.stderr));
    assert!(done.status.success(), "{page}: {}\n{out}\n{err}", done.status);
    let printed: Vec<&str> = out.split("=== block ").skip(1).collect();
    assert_eq!(printed.len(), blocks.len(), "{page}: {out}");
    for (block, printed) in blocks.iter().zip(printed) {
        let mut rest = printed;
        for piece in &block.shows {
            let found = rest.find(piece.as_str());
            let at = found.unwrap_or_else(|| panic!("{page}: \"{piece}\" is not printed, but {printed}"));
            rest = &rest[at + piece.len()..];
        }
    }
}

fn try_run(blocks: &[Block], room: &Path) -> Output {
    let home = room.join("home");
    let path = format!("{}:{}", room.join("bin").display(), std::env::var("PATH").unwrap());
    // A command that hangs ends all of them.
    Process::new("timeout")
        .args(["300", "bash", "-c", &script(blocks)])
        .env("PATH", path)
        .env("HOME", &home)
        .env("XDG_RUNTIME_DIR", room)
        .env("AULOS_LOG", "warn")
        // Nobody's sound card is to be heard: `auto` finds none, and takes the dummy clock.
        .env("ALSA_CONFIG_PATH", "/dev/null")
        .env("JACK_DEFAULT_SERVER", "aulos-guide")
        .env("JACK_NO_START_SERVER", "1")
        .env_remove("AULOS_SOCKET")
        .env_remove("AULOS_CONFIG")
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("XDG_STATE_HOME")
        .current_dir(&home)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn the_first_patch_is_patched() {
    follow("first-patch.md");
}

#[test]
fn the_live_rig_plays() {
    follow("live-rig.md");
}

#[test]
fn the_installation_box_starts_by_itself() {
    let room = follow("installation-box.md");
    // What systemd is told to start is started, too.
    let unit = fs::read_to_string(room.path().join("home/.config/systemd/user/aulos.service")).unwrap();
    let unit = unit.replace("/usr/local/bin/", "").replace("%h", "$HOME");
    let start: Vec<&str> = unit.lines().filter_map(|line| line.strip_prefix("ExecStart=")).collect();
    assert_eq!(start.len(), 1);
    let commands = vec![format!("{} &", start[0]), "aulosctl status".into(), "aulosctl shutdown".into()];
    let shows = ["session    show", "▶ rolling", "loop 0:00.000 to 0:04.000"].map(str::to_owned).into();
    run("the unit", &[Block { commands, shows }], room.path());
}

#[test]
fn the_headless_studio_renders() {
    follow("headless-studio.md");
}

#[test]
fn what_the_guide_shows_of_each_subject_is_so() {
    // What it speaks of: tracks, where they go, a session that was saved, and a loop on disk.
    follow_between(
        &[
            "aulosd --driver dummy &",
            "aulosctl session new ~/music/first",
            "for track in drums bass guitar keys voice alto tenor kick snare overhead trumpet trombone; do",
            "  aulosctl track add $track",
            "  aulosctl link $track master",
            "done",
            "for bus in fx room cue; do aulosctl bus add $bus; done",
            "for output in front phones; do aulosctl node add output $output; done",
            "aulosctl clip add drums /usr/share/sounds/alsa/Noise.wav",
            "mkdir loops",
            "aulosctl render loops/beat.flac",
            "aulosctl session save",
        ],
        "../guide.md",
        &["aulosctl shutdown"],
    );
}

#[test]
fn every_page_is_followed_and_found() {
    let mut pages: Vec<String> = fs::read_dir(project().join("docs/guide"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    let followed = ["first-patch.md", "headless-studio.md", "installation-box.md", "live-rig.md"];
    assert_eq!(pages, followed);
    let index = fs::read_to_string(project().join("docs/guide.md")).unwrap();
    assert!(
        pages.iter().all(|page| index.contains(&format!("(guide/{page})"))),
        "docs/guide.md names each page"
    );
}

/// Of two servers, the one that ends first cannot save its session.
#[test]
fn a_server_in_the_background_that_ends_with_an_error_is_seen() {
    let room = tempfile::tempdir().unwrap();
    fs::create_dir(room.path().join("home")).unwrap();
    programs(room.path());
    let end = |gone: &str| {
        let lines = [
            "aulosd --driver dummy &",
            "aulosctl session new ~/show",
            "aulosctl bus add more",
            gone,
            "kill $!",
            "while kill -0 $! 2>/dev/null; do sleep 0.05; done",
            "aulosd --driver dummy &",
            "aulosctl shutdown",
        ];
        let commands = lines.map(str::to_owned).into();
        try_run(&[Block { commands, shows: Vec::new() }], room.path())
    };
    let done = end("rm -r ~/show");
    assert_eq!(done.status.code(), Some(1), "{}", text(&done.stderr));
    assert!(text(&done.stderr).contains("save the session"), "{}", text(&done.stderr));
    let done = end("true");
    assert!(done.status.success(), "{}", text(&done.stderr));
}

#[test]
fn blocks_are_told_apart() {
    let page = "a\n```sh\none\ntwo\n```\nb\n```text\n  three\n```\n```\nfour\n```\n```sh\nfive &\n```\n";
    let found = blocks(page);
    let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let first = Block { commands: lines(&["one", "two"]), shows: lines(&["three"]) };
    assert_eq!(found, [first, Block { commands: lines(&["five &"]), shows: Vec::new() }]);
    assert!(script(&found).contains("five &\nservers=\"$servers $!\"\nuntil aulosctl"));
}
