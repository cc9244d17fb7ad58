//! Clients that do not read, that go away, that are too many or too fast.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use aulos_protocol::{
    Command, ErrorCode, Event, Query, Reply, State, Value,
    client::{Client, Notice},
    mirror,
    wire::FromServer,
};
use aulos_tests::server::{apply, ask};
use serde_json::json;

use crate::bench::{Bench, Raw, wait_until};

fn set_gain(client: &mut Client, number: u32) {
    let value = Value::Number(-f64::from(number % 100));
    apply(client, Command::SetParam { node: "drums".into(), param: "gain".into(), value });
}

#[test]
fn a_subscriber_that_never_reads_is_dropped_with_a_reason_and_nobody_else() {
    let mut bench = Bench::new();
    let mut slow = Raw::new(&bench.server);
    slow.send(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscribe\",\"params\":{\"telemetry_hz\":60}}\n")
        .unwrap();
    // Another one that reads all the time, as fast as it can.
    let mut reader = bench.server.client();
    let Reply::Subscribed(mut state) = ask(&mut reader, Query::Subscribe { telemetry_hz: 0.0 }) else {
        panic!("no state")
    };
    let follower = std::thread::spawn(move || {
        loop {
            match reader.notice().unwrap() {
                Notice::Event(Event::Saved { .. }) => return *state,
                Notice::Event(event) => mirror::follow(&mut state, &event),
                Notice::Telemetry(_) => {}
            }
        }
    });
    let mut client = bench.server.client();
    let mut number = 0;
    wait_until("somebody is dropped", || {
        for _ in 0..50 {
            number += 1;
            set_gain(&mut client, number);
        }
        bench.server.log().contains("reads too slowly and is dropped")
    });
    assert!(number > 1000, "dropped after {number} events, before the queue was full");

    // What it is told when it reads at last: the state, changes without a gap, and why it ends.
    let Some(FromServer::Answer { result: Ok(Reply::Subscribed(state)), .. }) = slow.next() else {
        panic!("the state comes first")
    };
    let mut revision = state.revision;
    let reason = loop {
        match slow.next().expect("a last word before the end") {
            FromServer::Event(Event::Changed { revision: next, .. }) => {
                assert_eq!(next, revision + 1, "a gap");
                revision = next;
            }
            FromServer::Event(Event::Dropped { reason }) => break reason,
            FromServer::Telemetry(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert!(reason.contains("faster than they were read"), "{reason}");
    assert!(revision < u64::from(number) + state.revision);
    assert_eq!(slow.next(), None);

    // Nobody else has missed anything.
    bench.accept();
    bench.goes_on("a slow subscriber");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("end").to_str().unwrap().to_owned();
    client.command(Command::SaveSession { path: Some(path) }).unwrap();
    assert_eq!(follower.join().unwrap().session, bench.session());
}

#[test]
fn a_subscriber_gets_the_state_before_the_first_change() {
    let mut bench = Bench::new();
    let stop = Arc::new(AtomicBool::new(false));
    let busy = std::thread::spawn({
        let (stop, mut client) = (stop.clone(), bench.server.client());
        move || {
            let mut number = 0;
            while !stop.load(Relaxed) {
                number += 1;
                set_gain(&mut client, number);
            }
            number
        }
    });
    for _ in 0..300 {
        let mut raw = Raw::new(&bench.server);
        raw.send(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscribe\"}\n").unwrap();
        let Some(FromServer::Answer { result: Ok(Reply::Subscribed(state)), .. }) = raw.next() else {
            panic!("the state comes first")
        };
        let State { revision, mut session, .. } = *state;
        // A change that was under way when the state was told may come again, which is harmless.
        for number in 0..3 {
            let Some(FromServer::Event(Event::Changed { revision: next, changes, .. })) = raw.next() else {
                panic!("a change is missing")
            };
            assert!(next <= revision + 1 + number, "revision {next} after {revision}");
            changes.iter().for_each(|change| mirror::apply(&mut session, change));
        }
    }
    stop.store(true, Relaxed);
    assert!(busy.join().unwrap() > 300);
    bench.accept();
    bench.goes_on("many subscriptions");
}

#[test]
fn clients_that_go_away_in_the_middle_of_an_answer_disturb_nobody() {
    let mut bench = Bench::new();
    let mut client = bench.server.client();
    let add = json!({ "method": "node_add", "params": { "kind": "bus", "channels": 64 } });
    let many: Vec<_> = vec![add; 1000];
    let batch: Command =
        serde_json::from_value(json!({ "method": "batch", "params": { "commands": many } })).unwrap();
    apply(&mut client, batch);
    bench.accept();
    for read in [0, 1, 100, 5000] {
        for _ in 0..10 {
            let mut stream = UnixStream::connect(bench.server.socket()).unwrap();
            for _ in 0..5 {
                // Some hundred KiB each, more than the socket holds.
                stream.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session\"}\n").unwrap();
            }
            stream.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscribe\"}\n").unwrap();
            stream.read_exact(&mut vec![0; read]).unwrap();
        }
        bench.goes_on("clients that went away");
    }
}

#[test]
fn what_was_asked_before_a_client_stopped_talking_is_still_answered() {
    let mut bench = Bench::new();
    for _ in 0..100 {
        let mut stream = UnixStream::connect(bench.server.socket()).unwrap();
        let line = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}\n";
        stream.write_all(&line.repeat(3)).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let answers: Vec<_> = BufReader::new(stream).lines().map(Result::unwrap).collect();
        assert_eq!(answers.len(), 3);
        assert!(answers.iter().all(|answer| answer.contains("\"reply\":\"status\"")));
    }
    bench.goes_on("clients that stopped talking");
}

#[test]
fn a_flood_of_requests_is_answered_in_order_while_others_are_too() {
    const REQUESTS: u64 = 20_000;
    let mut bench = Bench::new();
    let stream = UnixStream::connect(bench.server.socket()).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let sent = std::thread::spawn(move || {
        for id in 0..REQUESTS {
            let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"latency\"}}\n");
            writer.write_all(line.as_bytes()).unwrap();
        }
    });
    // The server does not read on before its answers are read: the flood stops at its source.
    for _ in 0..20 {
        bench.goes_on("a flood");
    }
    assert!(!sent.is_finished(), "the flood is not held back");
    let mut lines = BufReader::new(stream).lines();
    for id in 0..REQUESTS {
        let answer: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(answer["id"], id);
        assert_eq!(answer["result"]["reply"], "latency");
    }
    sent.join().unwrap();
}

#[test]
fn the_connection_that_is_too_many_is_told_so_and_places_become_free_again() {
    const MOST: usize = 256;
    let mut bench = Bench::new();
    let mut clients = Vec::new();
    let mut refused = 0;
    // One is the bench's own. Those of its checks may not have been noticed to be gone.
    for number in 1..300 {
        match Client::connect(&bench.server.socket()) {
            Ok((client, _)) => clients.push(client),
            Err(error) => {
                assert!(number > MOST - 10, "connection {number}: {error}");
                assert_eq!(error.code, ErrorCode::Unreachable);
                assert!(error.message.contains("256 connections already"), "{error}");
                refused += 1;
            }
        }
    }
    assert!(refused >= 299 - (MOST - 1) && clients.len() > MOST - 10, "{refused} are refused");
    // All that have a place are served.
    for client in &mut clients {
        assert!(matches!(ask(client, Query::Latency), Reply::Latency(_)));
    }
    let output = bench.server.ctl(["status"]);
    assert_eq!(output.status.code(), Some(3));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("256 connections already"), "{told}");

    clients.truncate(MOST / 2);
    wait_until("a place becomes free", || Client::connect(&bench.server.socket()).is_ok());
    bench.goes_on("many connections");
    for client in &mut clients {
        assert!(matches!(ask(client, Query::Status), Reply::Status(_)));
    }
}
