//! The allocation guard is there and bites.

use std::{
    os::unix::process::ExitStatusExt,
    process::{Command as Process, Stdio},
    sync::Arc,
};

use aulos_engine::{ClipLibrary, Patience, Setup, Start};
use aulos_nodes::ClipSource;
use aulos_protocol::{Clip, Command, Error, Frames, NewNode, NodeKind, Rate, Session};
use aulos_tests::server::Server;

#[global_allocator]
static GUARD: assert_no_alloc::AllocDisabler = assert_no_alloc::AllocDisabler;

/// Set in the process that is to be aborted; its value says what the audio thread does wrong.
const CHILD: &str = "AULOS_TEST_GUARD";

/// A file whose reader takes or frees memory on the audio thread.
#[derive(Debug)]
struct Careless {
    frees: std::sync::Mutex<Option<Vec<f32>>>,
    allocates: bool,
}

impl ClipSource for Careless {
    fn channels(&self) -> u16 {
        1
    }

    fn frames(&self) -> u64 {
        1 << 20
    }

    fn read(&self, _: u16, _: u64, out: &mut [f32]) -> bool {
        out.fill(0.0);
        if self.allocates {
            std::mem::forget(std::hint::black_box(vec![1.0f32; 100]));
        }
        drop(self.frees.lock().unwrap().take());
        true
    }
}

struct Library(&'static str);

impl ClipLibrary for Library {
    fn open(&mut self, _: &Clip, _: Rate) -> Result<Arc<dyn ClipSource>, Error> {
        let frees = std::sync::Mutex::new((self.0 == "frees").then(|| vec![0.0; 100]));
        Ok(Arc::new(Careless { frees, allocates: self.0 == "allocates" }))
    }
}

/// Plays a clip of a careless file for a block.
fn play(fault: &'static str) {
    let commands = vec![
        Command::AddNode(NewNode {
            kind: NodeKind::Track,
            name: Some("track".into()),
            channels: Some(1),
            params: Default::default(),
        }),
        Command::AddClip {
            track: "track".into(),
            file: "careless".into(),
            at: Frames(0),
            offset: Frames(0),
            length: None,
        },
    ];
    let empty = Session::new("guard", Rate::default());
    let (session, _) = aulos_engine::session::apply(&empty, &Command::Batch { commands }).unwrap();
    let start = Start { rolling: true, ..Start::default() };
    let (_controller, mut engine, _) =
        aulos_engine::engine(session, &mut Library(fault), Setup { max_block: 64, start }).unwrap();
    engine.process::<Vec<f32>, Vec<f32>>(&[], &mut [], 64, &Patience, u64::MAX);
}

/// Runs this test program once more, with the fault, and answers with the signal that ended it.
fn ended_by(fault: &str) -> Option<i32> {
    let status = Process::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_child_does_as_it_is_told", "--test-threads", "1"])
        .env(CHILD, fault)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    if status.signal().is_none() {
        assert!(status.success(), "{fault}: {status}");
    }
    status.signal()
}

#[test]
fn the_child_does_as_it_is_told() {
    match std::env::var(CHILD).as_deref() {
        Ok("allocates") => play("allocates"),
        Ok("frees") => play("frees"),
        Ok("behaves") | Err(_) => play("behaves"),
        Ok(other) => panic!("{other}"),
    }
}

#[test]
fn an_allocation_or_release_on_the_audio_thread_aborts_the_process() {
    const SIGABRT: i32 = 6;
    assert_eq!(ended_by("behaves"), None);
    assert_eq!(ended_by("allocates"), Some(SIGABRT));
    assert_eq!(ended_by("frees"), Some(SIGABRT));
}

#[test]
fn the_servers_of_the_tests_have_the_guard_in_them() {
    let server = Server::stepped();
    server.says("the allocation guard watches the audio thread", 1);
}
