//! What the JACK library calls on threads of its own, and the calls for which its safe binding has no word.
#![allow(unsafe_code)]

use std::{
    ffi::c_void,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
};

use aulos_protocol::{Error, ErrorCode};
use jack::{Client, ClientStatus, Control, LatencyType, NotificationHandler, Port, PortId, Unowned};

use super::{super::Stats, Shared};

/// Notes what the library tells.
pub struct Notices {
    shared: Arc<Shared>,
    stats: Arc<Stats>,
}

impl Notices {
    /// Noted in these.
    pub fn new(shared: Arc<Shared>, stats: Arc<Stats>) -> Self {
        Self { shared, stats }
    }
}

impl NotificationHandler for Notices {
    // SAFETY: it is called like a signal handler, and does nothing but set an atomic flag.
    unsafe fn shutdown(&mut self, _: ClientStatus, _: &str) {
        self.shared.gone.store(true, Relaxed);
    }

    fn freewheel(&mut self, _: &Client, freewheels: bool) {
        self.shared.freewheels.store(freewheels, Relaxed);
    }

    fn port_registration(&mut self, client: &Client, port: PortId, is_there: bool) {
        if !is_there && let Some(name) = client.port_by_id(port).and_then(|port| port.name().ok()) {
            self.shared.note(name);
        }
        self.shared.patched.store(true, Relaxed);
    }

    fn ports_connected(&mut self, _: &Client, _: PortId, _: PortId, _: bool) {
        self.shared.patched.store(true, Relaxed);
    }

    fn xrun(&mut self, _: &Client) -> Control {
        self.stats.xrun();
        Control::Continue
    }
}

/// What latencies are computed from.
#[derive(Default)]
pub struct Table {
    /// The ports that play, and how many frames the engine takes to each.
    pub playback: Vec<(Port<Unowned>, u32)>,
    /// The ports that record.
    pub capture: Vec<Port<Unowned>>,
}

/// The table, for the library's thread. Never locked by the audio thread.
pub struct Latencies {
    table: Mutex<Table>,
    shared: Arc<Shared>,
}

impl Latencies {
    /// Other ports, or another latency of the engine.
    pub fn set(&self, table: Table) {
        *self.table.lock().unwrap_or_else(PoisonError::into_inner) = table;
    }

    /// The longest latencies behind our ports: of what we play, and of what we record.
    pub fn outside(&self) -> (u64, u64) {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let playback = table.playback.iter().map(|(port, _)| port.get_latency_range(LatencyType::Playback).1);
        let capture = table.capture.iter().map(|port| port.get_latency_range(LatencyType::Capture).1);
        (u64::from(playback.max().unwrap_or(0)), u64::from(capture.max().unwrap_or(0)))
    }

    /// Says how late our ports are: what leaves us is as old as what comes in plus what the engine takes, and what
    /// comes in is heard after what the engine takes plus what is behind our outputs.
    fn recompute(&self, mode: jack_sys::jack_latency_callback_mode_t) {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if mode == jack_sys::JackCaptureLatency {
            let range = span(table.capture.iter().map(|port| port.get_latency_range(LatencyType::Capture)));
            for (port, arrival) in &table.playback {
                let later = (range.0.saturating_add(*arrival), range.1.saturating_add(*arrival));
                port.set_latency_range(LatencyType::Capture, later);
            }
        } else {
            let range = span(table.playback.iter().map(|(port, arrival)| {
                let (min, max) = port.get_latency_range(LatencyType::Playback);
                (min.saturating_add(*arrival), max.saturating_add(*arrival))
            }));
            for port in &table.capture {
                port.set_latency_range(LatencyType::Playback, range);
            }
        }
        self.shared.relatencied.store(true, Relaxed);
    }
}

/// The least and the greatest of several ranges; 0 without any.
fn span(ranges: impl Iterator<Item = (u32, u32)>) -> (u32, u32) {
    ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or((0, 0))
}

unsafe extern "C" fn latency_callback(mode: jack_sys::jack_latency_callback_mode_t, argument: *mut c_void) {
    // SAFETY: the argument is the pointer that `watch_latencies` gave, to what is never freed.
    let latencies = unsafe { &*argument.cast::<Latencies>() };
    latencies.recompute(mode);
}

/// Has the library ask us for latencies from now on. To be called before the client is activated.
///
/// # Errors
/// `Unavailable` if the library refuses.
pub fn watch_latencies(client: &Client, shared: Arc<Shared>) -> Result<Arc<Latencies>, Error> {
    let latencies = Arc::new(Latencies { table: Mutex::default(), shared });
    // Kept for ever, a few bytes for each client: a client of a server that died may never be closed, and nobody
    // knows when its threads have ended.
    let kept = Arc::into_raw(latencies.clone()).cast_mut().cast();
    // SAFETY: the client is open, and what the pointer points to stays.
    let refused = unsafe { jack_sys::jack_set_latency_callback(client.raw(), Some(latency_callback), kept) };
    if refused != 0 {
        return Err(Error::new(ErrorCode::Unavailable, "the JACK library takes no latency callback"));
    }
    Ok(latencies)
}

/// Has the server ask all clients for their latencies.
pub fn recompute_latencies(client: &Client) {
    // SAFETY: the client is open.
    let failed = unsafe { jack_sys::jack_recompute_total_latencies(client.raw()) };
    if failed != 0 {
        tracing::debug!("the JACK server does not recompute latencies ({failed})");
    }
}
