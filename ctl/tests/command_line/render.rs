//! Renders: waited for, detached, interrupted.

use std::{process::Stdio, time::Duration};

use aulos_protocol::Command;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    answer, aulosctl,
    fake::{Fake, Mood},
    told,
};

#[test]
fn a_render_is_waited_for() {
    let fake = Fake::willing();
    let out = answer(
        &fake,
        "render /tmp/mix.flac --depth 24 --rate 44.1k --from 2|1 --to 1:00 --tail 1s --raw --block 64",
    );
    assert_eq!(out, "the input mic was silent\n");
    let [Command::Render(render)] = &fake.commands()[..] else { panic!("one render") };
    let json = serde_json::to_value(render).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "path": "/tmp/mix.flac", "depth": "24", "rate": 44_100, "start": 96_000, "end": 2_880_000,
            "tail": 48_000, "raw": true, "block": 64,
        })
    );
    assert_eq!(answer(&fake, "render mix.wav --no-wait"), "7\n");
    let [Command::Render(render)] = &fake.commands()[..] else { panic!("one render") };
    assert!(render.path.starts_with('/') && render.path.ends_with("/mix.wav"));
}

#[test]
fn an_interrupted_render_is_cancelled() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let fake = Fake::start(Mood::Endless);
        let child = aulosctl(&fake, "render /tmp/mix.wav").stderr(Stdio::piped()).spawn().unwrap();
        // The render has begun once it was asked how it is getting on.
        let mut asked = 0;
        while asked < 2 {
            asked += fake.asked().len();
            std::thread::sleep(Duration::from_millis(5));
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        let (got, _, err) = told(child.wait_with_output().unwrap());
        assert_eq!((got, err.as_str()), (code, "aulosctl: the render was cancelled\n"));
        assert!(fake.commands().iter().any(|c| matches!(c, Command::CancelOperation { operation: 7 })));
    }
}
