//! The sound of a node, for somebody who listens for a while.

use std::sync::{
    Arc,
    atomic::{
        AtomicU32, AtomicU64, AtomicUsize,
        Ordering::{AcqRel, Acquire, Relaxed, Release},
    },
};

use aulos_protocol::Rate;

use crate::Meter;

/// How much is kept for those who listen, in ms: several times what they take to look.
const KEPT_MS: f64 = 250.0;

/// The last samples of a node's outputs. The audio thread writes them while somebody listens and waits for nobody;
/// who is too slow misses some, and is told how many.
#[derive(Debug)]
pub(crate) struct Ear {
    channels: Box<[Box<[AtomicU32]>]>,
    /// Frames that may be overwritten by now, and those that are complete, since the first was heard.
    claimed: AtomicU64,
    written: AtomicU64,
    listeners: AtomicUsize,
}

impl Ear {
    pub(crate) fn new(channels: usize, rate: Rate) -> Self {
        let kept = (rate.frames_in_ms(KEPT_MS) as usize).max(1);
        let channel = || (0..kept).map(|_| AtomicU32::new(0)).collect();
        Self {
            channels: (0..channels).map(|_| channel()).collect(),
            claimed: AtomicU64::new(0),
            written: AtomicU64::new(0),
            listeners: AtomicUsize::new(0),
        }
    }

    /// [audio thread] Whether anybody listens.
    pub(crate) fn is_open(&self) -> bool {
        self.listeners.load(Relaxed) > 0
    }

    /// [audio thread] Begins a block of so many frames.
    pub(crate) fn begin(&self, frames: usize) {
        self.claimed.store(self.written.load(Relaxed) + frames as u64, Release);
        // What is written now must not be seen before the claim.
        std::sync::atomic::fence(Release);
    }

    /// [audio thread] Takes a channel of the block that has begun.
    pub(crate) fn hear(&self, channel: usize, block: &[f32]) {
        let Some(kept) = self.channels.get(channel) else { return };
        let first = self.written.load(Relaxed);
        // Of a block that is longer than what is kept, the end is kept.
        let skipped = block.len().saturating_sub(kept.len());
        let mut at = ((first + skipped as u64) % kept.len() as u64) as usize;
        for x in &block[skipped..] {
            kept[at].store(x.to_bits(), Relaxed);
            at = if at + 1 == kept.len() { 0 } else { at + 1 };
        }
    }

    /// [audio thread] Ends the block.
    pub(crate) fn end(&self) {
        self.written.store(self.claimed.load(Relaxed), Release);
    }
}

/// Somebody who listens to a node, from when it was made on.
#[derive(Debug)]
pub struct Listener {
    meter: Arc<Meter>,
    at: u64,
    lost: u64,
    taken: Vec<Vec<f32>>,
}

impl Listener {
    /// Begins to listen to the node that the meter is of. Takes memory for a quarter of a second, which stays with the
    /// node.
    pub fn new(meter: Arc<Meter>, rate: Rate) -> Self {
        let ear = meter.open_ear(rate);
        ear.listeners.fetch_add(1, AcqRel);
        let (at, taken) = (ear.written.load(Acquire), vec![Vec::new(); ear.channels.len()]);
        Self { meter, at, lost: 0, taken }
    }

    /// The node's meter.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// How many channels are heard.
    pub fn channels(&self) -> usize {
        self.taken.len()
    }

    /// How many frames were missed.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// What was heard since the last time, by channel.
    pub fn take(&mut self) -> &[Vec<f32>] {
        self.taken.iter_mut().for_each(Vec::clear);
        let Some(ear) = self.meter.ear() else { return &self.taken };
        let written = ear.written.load(Acquire);
        let kept = ear.channels.first().map_or(0, |channel| channel.len() as u64);
        let oldest = written.saturating_sub(kept);
        let from = self.at.max(oldest);
        for (channel, taken) in ear.channels.iter().zip(&mut self.taken) {
            taken.extend((from..written).map(|n| f32::from_bits(channel[(n % kept) as usize].load(Relaxed))));
        }
        // What was overwritten meanwhile is not what was heard.
        std::sync::atomic::fence(Acquire);
        let torn = ear.claimed.load(Relaxed).saturating_sub(kept).clamp(from, written);
        let gone = (torn - from) as usize;
        self.taken.iter_mut().for_each(|taken| drop(taken.drain(..gone)));
        self.lost += torn - self.at;
        self.at = written;
        &self.taken
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(ear) = self.meter.ear() {
            ear.listeners.fetch_sub(1, AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(meter: &Meter, block: &[f32]) {
        let Some(ear) = meter.ear().filter(|ear| ear.is_open()) else { return };
        ear.begin(block.len());
        ear.hear(0, block);
        ear.end();
    }

    #[test]
    fn what_is_played_is_heard_in_order_and_once() {
        let meter = Arc::new(Meter::new(1));
        play(&meter, &[9.0; 10]);
        let mut listener = Listener::new(meter.clone(), Rate::default());
        let mut heard = Vec::new();
        for n in 0..1000 {
            let block: Vec<f32> = (0..77).map(|k| (n * 77 + k) as f32).collect();
            play(&meter, &block);
            heard.extend_from_slice(&listener.take()[0]);
        }
        assert!(heard.iter().enumerate().all(|(n, x)| *x == n as f32));
        assert_eq!((heard.len(), listener.lost()), (77_000, 0));
        drop(listener);
        assert!(!meter.ear().unwrap().is_open());
    }

    #[test]
    fn who_is_too_slow_is_told_how_much_was_missed() {
        let meter = Arc::new(Meter::new(1));
        let mut listener = Listener::new(meter.clone(), Rate::default());
        let all: Vec<f32> = (0..50_000).map(|n| n as f32).collect();
        all.chunks(1000).for_each(|block| play(&meter, block));
        let heard = listener.take()[0].clone();
        assert_eq!(heard.len(), 12_000);
        assert_eq!((heard[0], heard[11_999], listener.lost()), (38_000.0, 49_999.0, 38_000));
        play(&meter, &all);
        assert_eq!(listener.take()[0].last(), Some(&49_999.0));
    }
}
