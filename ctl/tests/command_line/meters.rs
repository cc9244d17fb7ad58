//! Meters in a pipe and on a terminal.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rustix::{
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};

use aulos_protocol::Command;

use crate::{
    answer, aulosctl,
    fake::{Fake, Mood},
    run,
};

#[test]
fn elsewhere_than_on_a_terminal_there_is_one_reading() {
    let fake = Fake::willing();
    let out = answer(&fake, "meters");
    assert_eq!(
        out,
        "▶ rolling  0:12.345 (7|1.69)  load 12.3 %\ndrums  L  -6.0 dB\n       R  -inf dB\n"
            .replace("       R", "drums  R")
    );
    // The first reading is of what was before.
    assert!(answer(&fake, "meters --once --for 0.2").contains("drums  L  -6.0 dB"));
}

#[test]
fn loudness_begins_anew_when_that_is_asked_for() {
    let fake = Fake::willing();
    assert_eq!(answer(&fake, "meters --reset"), "the loudness of every master is measured from now on\n");
    assert_eq!(answer(&fake, "meters --reset main"), "the loudness of main is measured from now on\n");
    let reset = |node: Option<&str>| Command::ResetLoudness { node: node.map(str::to_owned) };
    assert_eq!(fake.commands(), [reset(None), reset(Some("main"))]);
    assert_eq!(run(&fake, "meters --reset --once").0, 2);
}

/// The program on a terminal of its own.
struct OnTerminal {
    child: Child,
    keyboard: File,
    terminal: File,
    shown: Arc<Mutex<Vec<u8>>>,
}

/// Starts the program on a new terminal: the end at which somebody sits, the terminal, and the program.
fn on_terminal(fake: &Fake, line: &str) -> (File, File, Child) {
    // Not to be inherited, or the program itself would keep its terminal open.
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let screen = openpt(flags).unwrap();
    grantpt(&screen).unwrap();
    unlockpt(&screen).unwrap();
    let name = ptsname(&screen, Vec::new()).unwrap();
    let terminal = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    tcsetwinsize(&terminal, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let end = || Stdio::from(OwnedFd::from(terminal.try_clone().unwrap()));
    let child = aulosctl(fake, line).stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
    (File::from(screen), terminal, child)
}

impl OnTerminal {
    fn start(fake: &Fake, line: &str) -> Self {
        let (keyboard, terminal, child) = on_terminal(fake, line);
        let shown = Arc::new(Mutex::new(Vec::new()));
        std::thread::spawn({
            let (mut screen, shown) = (keyboard.try_clone().unwrap(), shown.clone());
            move || {
                let mut part = [0; 4096];
                while let Ok(count @ 1..) = screen.read(&mut part) {
                    shown.lock().unwrap().extend_from_slice(&part[..count]);
                }
            }
        });
        let mut this = Self { child, keyboard, terminal, shown };
        this.wait_for("drums");
        this
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    fn wait_for(&mut self, text: &str) {
        let begin = Instant::now();
        while !self.shown().contains(text) {
            assert!(begin.elapsed() < Duration::from_secs(20), "{text:?} never came: {:?}", self.shown());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(&self.terminal).unwrap().local_modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// Waits for the end, and makes sure that the terminal is as it was before `last_words` are said.
    fn end(mut self, last_words: &str) -> i32 {
        let code = self.child.wait().unwrap().code().expect("no signal");
        assert!(!self.is_raw(), "the terminal is cooked again");
        self.wait_for("\u{1b}[?1049l");
        self.wait_for("\u{1b}[?25h");
        self.wait_for(last_words);
        let shown = self.shown();
        let (_, after) = shown.rsplit_once("\u{1b}[?1049l").unwrap();
        assert_eq!(after.trim(), last_words);
        code
    }
}

#[test]
fn the_terminal_is_given_back_by_a_key() {
    let fake = Fake::willing();
    for key in ["q", "\u{1b}", "\u{3}"] {
        let mut meters = OnTerminal::start(&fake, "meters");
        assert!(meters.is_raw());
        meters.keyboard.write_all(key.as_bytes()).unwrap();
        assert_eq!(meters.end(""), 0, "{key:?}");
    }
}

#[test]
fn the_terminal_is_given_back_on_a_signal_and_when_time_is_up() {
    let fake = Fake::willing();
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129)] {
        let meters = OnTerminal::start(&fake, "meters");
        kill_process(Pid::from_child(&meters.child), signal).unwrap();
        assert_eq!(meters.end(""), code);
    }
    assert_eq!(OnTerminal::start(&fake, "meters --for 0.3").end(""), 0);
}

#[test]
fn a_terminal_that_is_closed_ends_the_meters() {
    let fake = Fake::willing();
    let (mut screen, terminal, mut child) = on_terminal(&fake, "meters");
    drop(terminal);
    let mut shown = Vec::new();
    while !String::from_utf8_lossy(&shown).contains("drums") {
        let mut part = [0; 4096];
        let count = screen.read(&mut part).unwrap();
        shown.extend_from_slice(&part[..count]);
    }
    drop(screen);
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begin.elapsed() > Duration::from_secs(20) {
            child.kill().unwrap();
            panic!("the meters go on without a terminal");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(status.code(), Some(129));
}

#[test]
fn the_terminal_is_given_back_when_the_server_goes() {
    let fake = Fake::start(Mood::HangingUp);
    let meters = OnTerminal::start(&fake, "meters");
    assert_eq!(meters.end("aulosctl: the server hung up: too slow"), 3);
}
