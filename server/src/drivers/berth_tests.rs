//! Who may call the engine, whatever has become of the others.

use std::sync::{
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    mpsc::sync_channel,
};

use aulos_engine::{Counters, Engine, Patience, Start};
use aulos_protocol::{ErrorCode, Rate};

use super::*;
use crate::{control::fresh_session, disk::Streams, drivers::Successor, library::Library};

fn engine() -> (Arc<Counters>, Engine) {
    let session = fresh_session("test", Rate::default()).unwrap();
    let mut library = Library::new(Arc::new(Streams::new(4096).unwrap()), None);
    let setup = aulos_engine::Setup { max_block: 64, start: Start::default() };
    let (controller, engine, _) = aulos_engine::engine(session, &mut library, setup).unwrap();
    (controller.counters().clone(), engine)
}

fn berth() -> (Arc<Berth>, Hold, Arc<Counters>) {
    let (counters, engine) = engine();
    let (seat, _) = Seat::for_devices(engine, Rate::default(), 64);
    let (berth, hold) = Berth::new(seat);
    (berth, hold, counters)
}

fn cycle(hold: &mut Hold) -> bool {
    hold.with(|seat| seat.cycle(64, 2, &Patience, u64::MAX)).is_some()
}

#[test]
fn a_device_comes_when_it_is_invited_and_goes_when_it_is_taken_back() {
    let (berth, mut dummy, counters) = berth();
    let mut device = berth.hold(Rate::default());
    assert!(cycle(&mut dummy));
    // Not invited yet.
    assert!(!cycle(&mut device) && berth.is_stood_in());
    berth.invite(device.number());
    // The dummy clock goes on until the device calls.
    assert!(cycle(&mut dummy));
    assert!(cycle(&mut device) && berth.is_held_by(device.number()));
    assert!(!cycle(&mut dummy) && cycle(&mut device));
    berth.take_back();
    assert!(!cycle(&mut device) && cycle(&mut dummy));
    // It has to be invited again, and one that comes after it has another number.
    let mut next = berth.hold(Rate::default());
    berth.invite(next.number());
    assert!(!cycle(&mut device) && cycle(&mut next) && !cycle(&mut dummy));
    assert_eq!(counters.frame(), 64 * 6);
}

#[test]
fn a_device_that_leaves_fades_out_first_and_one_that_comes_fades_in() {
    let (berth, mut dummy, _) = berth();
    assert!(cycle(&mut dummy));
    let mut device = berth.hold(Rate::default());
    berth.invite(device.number());
    assert!(cycle(&mut device));
    berth.ask_to_leave();
    // 5 ms are 240 frames.
    let cycles = (0..).take_while(|_| cycle(&mut device)).count();
    assert_eq!(cycles, 4);
    assert!(berth.is_stood_in() && cycle(&mut dummy));
}

#[test]
fn a_device_of_another_rate_gives_the_engine_back_at_once() {
    let (berth, mut dummy, counters) = berth();
    let mut device = berth.hold(Rate::new(44_100).unwrap());
    berth.invite(device.number());
    assert!(!cycle(&mut device) && cycle(&mut dummy));
    assert_eq!(counters.frame(), 64);
}

#[test]
fn what_a_dead_thread_left_in_the_seat_is_known() {
    let (berth, mut dummy, _) = berth();
    let panicked = std::thread::spawn(move || dummy.with(|_| panic!("as a defect would"))).join();
    assert!(panicked.is_err() && berth.is_broken());
    let mut device = berth.hold(Rate::default());
    berth.invite(device.number());
    assert!(!cycle(&mut device));
}

/// Devices come and go while the dummy clock runs: never two at once, and no frame is lost or run twice.
#[test]
fn never_two_at_once() {
    let (berth, mut dummy, counters) = berth();
    let inside = Arc::new(AtomicBool::new(false));
    let cycles = Arc::new(AtomicU64::new(0));
    let end = Arc::new(AtomicBool::new(false));
    let run = {
        let (inside, cycles) = (inside.clone(), cycles.clone());
        move |hold: &mut Hold| {
            hold.with(|seat| {
                assert!(!inside.swap(true, Relaxed), "two are in the seat");
                seat.cycle(64, 2, &Patience, u64::MAX);
                cycles.fetch_add(1, Relaxed);
                inside.store(false, Relaxed);
            })
            .is_some()
        }
    };
    let mut threads = Vec::new();
    let (theirs, stop) = (run.clone(), end.clone());
    threads.push(std::thread::spawn(move || {
        while !stop.load(Relaxed) {
            theirs(&mut dummy);
            std::thread::yield_now();
        }
    }));
    for _ in 0..200 {
        let mut device = berth.hold(Rate::default());
        let number = device.number();
        let (theirs, (called, calls)) = (run.clone(), sync_channel(1));
        let stop = end.clone();
        let device = std::thread::spawn(move || {
            let mut first = true;
            while !stop.load(Relaxed) {
                if theirs(&mut device) && std::mem::take(&mut first) {
                    called.send(()).unwrap();
                } else if !first && !device.berth().is_held_by(device.number()) {
                    return;
                }
                std::thread::yield_now();
            }
        });
        berth.invite(number);
        calls.recv().unwrap();
        assert!(berth.is_held_by(number));
        berth.take_back();
        device.join().unwrap();
    }
    end.store(true, Relaxed);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(counters.frame(), cycles.load(Relaxed) * 64);
}

#[test]
fn engines_are_sent_only_where_there_is_room_and_all_of_them_arrive() {
    let (_, first) = engine();
    let (mut seat, mut exchange) = Seat::for_devices(first, Rate::default(), 64);
    let mut sent = Vec::new();
    while exchange.room().is_ok() {
        let (counters, engine) = engine();
        exchange.send(Successor { engine, rate: Rate::default(), fade: 100 });
        sent.push(counters);
        assert!(sent.len() < 100);
    }
    let waits = exchange.room().unwrap_err();
    assert!(waits.code == ErrorCode::Busy && waits.remedy.is_some(), "{waits:?}");
    // Each is seated when the one before has faded in, and plays from then on.
    for counters in &sent {
        let cycles = (1..).take_while(|_| {
            seat.cycle(64, 2, &Patience, u64::MAX);
            counters.frame() == 0
        });
        assert!(cycles.count() < 10);
        exchange.room().unwrap();
    }
}
