//! What clients are told by themselves: changes, meters, where the transport is; and what only OSC has.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use aulos_osc::{
    own::Own,
    pattern::Pattern,
    space::{self, Target, Whole},
    tree,
};
use aulos_protocol::{Change, Clock, Command, ErrorCode, Frames, MeterReading, Node, State, mirror};
use rosc::{OscMessage, OscTime, OscType};
use serde_json::{Value as Json, json};

use super::{
    answers::{self, Asked},
    bundles,
    client::Key,
    desk::{Came, Desk, Wanted},
    invalid,
};
use crate::inner::Heard;

/// How often meters and the position are told at most, in Hz.
const METERS_HZ: f64 = 30.0;
const POSITIONS_HZ: f64 = 10.0;
/// The level that is told for silence, in dB.
const SILENCE: f32 = -144.0;
const POSITIONS: [Whole; 2] = [Whole::Frame, Whole::Bbt];

impl Desk {
    /// Hears what has happened already.
    pub(super) fn catch_up(&mut self) {
        while let Some(heard) = self.subscription.waiting() {
            self.hear(heard);
        }
    }

    /// Takes in what has happened, and notes for each client what of it is to be told.
    pub(super) fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Event(event) => {
                let before = self.state.clone();
                mirror::follow(&mut self.state, &event);
                self.note_changes(&before);
            }
            Heard::State(state) => {
                let before = std::mem::replace(&mut self.state, *state);
                self.note_changes(&before);
            }
            Heard::Telemetry(telemetry) => {
                let moved = self.state.transport != telemetry.transport;
                self.state.transport = telemetry.transport;
                self.note_meters(&telemetry.meters);
                if moved && self.positions_told.elapsed() >= Duration::from_secs_f64(1.0 / POSITIONS_HZ) {
                    self.positions_told = Instant::now();
                    for whole in POSITIONS {
                        self.note(&Target::Whole(whole));
                    }
                }
            }
        }
    }

    /// Asks the control thread for as much telemetry as is wanted. None when the server goes down.
    pub(super) async fn follow_telemetry(&mut self) -> Option<()> {
        let mut hz = 0.0;
        for client in self.clients.values().filter(|client| !client.feed.is_empty()) {
            if client.feed.wants_meters() {
                hz = METERS_HZ;
            } else if POSITIONS.iter().any(|whole| client.feed.wants(whole.address())) {
                hz = POSITIONS_HZ.max(hz);
            }
        }
        if hz != self.telemetry_hz {
            let (state, subscription) = self.inner.subscribe(hz).await.ok()?;
            (self.telemetry_hz, self.subscription) = (hz, subscription);
            self.hear(Heard::State(state));
        }
        Some(())
    }

    /// Notes what is another than before.
    fn note_changes(&mut self, before: &State) {
        if self.clients.values().all(|client| client.feed.is_empty() && !client.outbox.is_web()) {
            return;
        }
        for change in mirror::difference(&before.session, &self.state.session) {
            match change {
                Change::Node(node) => {
                    let old = before.session.nodes.get(&node.id);
                    self.note_paths(old, Some(&node));
                    self.note_node(before, old, Some(&node));
                }
                Change::NodeGone(id) => {
                    let old = before.session.nodes.get(&id);
                    self.note_paths(old, None);
                    self.note_node(before, old, None);
                }
                Change::Link(_) | Change::LinkGone(_) | Change::Session { .. } => {}
            }
        }
        for whole in Whole::ALL.map(Target::Whole) {
            if whole.value(before) != whole.value(&self.state) {
                self.note(&whole);
            }
        }
    }

    /// Tells clients of OSCQuery which paths are there from now on. What they listen to goes with a node that is
    /// renamed.
    fn note_paths(&mut self, old: Option<&Arc<Node>>, new: Option<&Arc<Node>>) {
        let (old_paths, new_paths) = (old.map(|node| tree::paths(node)), new.map(|node| tree::paths(node)));
        let (old_paths, new_paths) = (old_paths.unwrap_or_default(), new_paths.unwrap_or_default());
        let mut told = Vec::new();
        let mut say = |command: &str, data: Json| {
            told.push(json!({ "COMMAND": command, "DATA": data }).to_string());
        };
        let is_same_kind = old.zip(new).is_some_and(|(old, new)| old.kind == new.kind);
        let has_changed = old.zip(new).is_some_and(|(old, new)| old.channels != new.channels);
        let mut moved = Vec::new();
        for (old, new) in old_paths.iter().zip(&new_paths).filter(|_| is_same_kind) {
            if old != new {
                say("PATH_RENAMED", json!({ "OLD": old, "NEW": new }));
                moved.push((old, new));
            }
            if has_changed {
                say("PATH_CHANGED", json!(new));
            }
        }
        if !is_same_kind {
            old_paths.iter().for_each(|old| say("PATH_REMOVED", json!(old)));
            new_paths.iter().for_each(|new| say("PATH_ADDED", json!(new)));
        }
        let mut slow = Vec::new();
        for (key, client) in &mut self.clients {
            moved.iter().for_each(|(old, new)| client.feed.follow(old, new));
            if let Key::Tcp(connection) = key
                && !told.iter().all(|text| client.outbox.say(text))
            {
                slow.push(*connection);
            }
        }
        for connection in slow {
            self.close(connection, Some("a client of OSCQuery reads too slowly".into()));
        }
    }

    /// Begins or ends to tell a client by WebSocket the values of an address, whose value now comes first.
    pub(super) fn listen(&mut self, key: Key, address: &str, listens: bool) {
        let target = space::find(&self.state, address);
        let (address, value) = match &target {
            Ok(target) => (target.to_string(), target.value(&self.state)),
            Err(_) if address.starts_with("/meter/") => (address.to_owned(), Vec::new()),
            // What has gone is listened to no more, whatever its address.
            Err(_) if !listens => (address.to_owned(), Vec::new()),
            Err(error) => {
                let asked = Asked { address: address.to_owned(), id: None };
                return self.refuse(key, &asked, error);
            }
        };
        let Some(client) = self.clients.get_mut(&key) else { return };
        if !listens {
            client.feed.ignore(&address);
        } else if !client.feed.listen(&address) {
            self.counts.dropped += 1;
        } else if !value.is_empty() {
            self.counts.dropped += u64::from(!client.feed.note(&address, &value));
        }
    }

    /// Notes what of a node is new, changed or gone.
    fn note_node(&mut self, before: &State, old: Option<&Arc<Node>>, new: Option<&Arc<Node>>) {
        let old_targets = old.into_iter().flat_map(space::of_node);
        let mut values: BTreeMap<_, _> =
            old_targets.map(|target| (target.to_string(), target.value(before))).collect();
        for target in new.into_iter().flat_map(space::of_node) {
            if values.remove(&target.to_string()).as_ref() != Some(&target.value(&self.state)) {
                self.note(&target);
            }
        }
        let Some(old) = old.filter(|_| !values.is_empty()) else { return };
        let gone = OscMessage {
            addr: "/sys/gone".into(),
            args: vec![answers::text(format!("/{}/{}", old.kind, old.slug))],
        };
        for client in self.clients.values_mut().filter(|client| !client.feed.is_empty()) {
            let knew = values.keys().any(|address| client.feed.wants(address));
            values.keys().for_each(|address| client.feed.forget(address));
            if knew && !client.outbox.answer_in_parts(vec![gone.clone()]) {
                self.counts.dropped += 1;
            }
        }
    }

    /// Notes the value of an address for everybody who has subscribed to it.
    fn note(&mut self, target: &Target) {
        let (address, value) = (target.to_string(), target.value(&self.state));
        self.note_value(&address, &value);
    }

    fn note_value(&mut self, address: &str, value: &[OscType]) {
        for client in self.clients.values_mut().filter(|client| !client.feed.is_empty()) {
            self.counts.dropped += u64::from(!client.feed.note(address, value));
        }
    }

    /// Notes meters: of each channel peak and RMS, in dB of full scale.
    fn note_meters(&mut self, meters: &[MeterReading]) {
        let level = |level: f32| OscType::Float((20.0 * level.log10()).max(SILENCE));
        for reading in meters {
            let Some(node) = self.state.session.node(&reading.node) else { continue };
            let address = format!("/meter/{}/{}", node.kind, node.slug);
            let rms = reading.rms.iter().chain(std::iter::repeat(&0.0));
            let pairs = reading.peaks.iter().zip(rms);
            let value: Vec<_> = pairs.flat_map(|(peak, rms)| [level(*peak), level(*rms)]).collect();
            self.note_value(&address, &value);
        }
    }

    /// Does what only OSC has.
    pub(super) fn own(&mut self, key: Key, asked: Asked, own: Own) {
        match own {
            Own::Status(told) => {
                let status = self.status();
                self.ask(key, asked, true, async move { Came::Status(Wanted::Told(told), status.await) });
            }
            Own::Toggle => {
                let transport = &self.state.transport;
                let rolls = transport.rolling || transport.waiting;
                let answer = self.inner.command(if rolls { Command::Pause } else { Command::Play });
                self.ask(key, asked, true, async move { Came::Answer(answer.await) });
            }
            Own::Released => {}
            Own::Get(pattern) => match space::matching(&self.state, &pattern) {
                Ok(targets) => self.get(key, asked, targets),
                Err(error) => self.refuse(key, &asked, &error),
            },
            Own::List(pattern) => self.list(key, &asked, pattern.as_deref()),
            Own::Subscribe { pattern, lease, hz } => self.subscribe(key, &asked, &pattern, lease, hz),
            Own::Unsubscribe(pattern) => {
                let pattern = pattern.map(|pattern| space::named(&self.state, &pattern));
                let Some(client) = self.clients.get_mut(&key) else { return };
                if client.feed.unsubscribe(pattern.as_deref()) || pattern.is_none() {
                    self.send(key, asked.reply(Vec::new()));
                } else {
                    self.refuse(key, &asked, &not_subscribed());
                }
            }
            Own::Refresh(pattern) => {
                let pattern = pattern.map(|pattern| space::named(&self.state, &pattern));
                let Some(client) = self.clients.get(&key) else { return };
                let patterns = client.feed.patterns(pattern.as_deref());
                if patterns.is_empty() {
                    return self.refuse(key, &asked, &not_subscribed());
                }
                self.send(key, asked.reply(Vec::new()));
                patterns.iter().for_each(|pattern| self.tell_all(key, pattern));
            }
            Own::Ping(_) | Own::Map(_) => {
                let inner = self.inner.clone();
                let clock = async move { Came::Clock(own, bundles::clock(&inner).await) };
                self.ask(key, asked, true, clock);
            }
            Own::Request(..) => {
                self.refuse(key, &asked, &invalid("a request cannot be asked for by a request"))
            }
        }
    }

    fn subscribe(&mut self, key: Key, asked: &Asked, pattern: &str, lease: u32, hz: f64) {
        if lease == 0 && matches!(key, Key::Udp(_)) {
            let error = invalid("a lease of 0 is one for as long as a connection, and this is none")
                .expected("a lease in s, 1 to 3600")
                .remedy("anything that is sent renews it; or subscribe by TCP");
            return self.refuse(key, asked, &error);
        }
        // A number means the node that has it now.
        let named = space::named(&self.state, pattern);
        let pattern = named.as_str();
        let read = match Pattern::new(pattern) {
            Ok(read) => read,
            Err(why) => return self.refuse(key, asked, &invalid(why)),
        };
        // What is not there may come.
        if let Err(error) = space::matching(&self.state, pattern)
            && error.code != ErrorCode::NotFound
        {
            return self.refuse(key, asked, &error);
        }
        let Some(client) = self.clients.get_mut(&key) else { return };
        if !client.feed.subscribe(read, hz, Duration::from_secs(lease.into())) {
            let error =
                invalid(format!("there are {} subscriptions already", super::feed::MOST_SUBSCRIPTIONS))
                    .remedy("end some with /sys/unsubscribe, or use patterns");
            return self.refuse(key, asked, &error);
        }
        let lease = OscType::Int(i32::try_from(lease).unwrap_or(i32::MAX));
        self.send(key, asked.reply(vec![answers::text(pattern), lease]));
        self.tell_all(key, pattern);
    }

    /// Has a client told every value of a pattern.
    fn tell_all(&mut self, key: Key, pattern: &str) {
        let targets = space::matching(&self.state, pattern).unwrap_or_default();
        let Some(client) = self.clients.get_mut(&key) else { return };
        for target in targets {
            self.counts.dropped +=
                u64::from(!client.feed.note(&target.to_string(), &target.value(&self.state)));
        }
    }

    fn list(&mut self, key: Key, asked: &Asked, pattern: Option<&str>) {
        let targets = match pattern {
            Some(pattern) => match space::matching(&self.state, pattern) {
                Ok(targets) => targets,
                Err(error) => return self.refuse(key, asked, &error),
            },
            None => space::all(&self.state).collect(),
        };
        let addresses = targets.iter().map(|target| vec![answers::text(target.to_string())]);
        self.answer(key, asked, answers::Answer::Many(addresses.collect()));
    }

    /// Tells the time.
    pub(super) fn tell_clock(&mut self, key: Key, asked: &Asked, own: &Own, clock: &Clock) {
        let time = |ns: u64| OscType::Time(bundles::time_tag(ns));
        let at = |sent: OscTime| clock.frame_at(bundles::unix_ns(sent, clock.now_ns));
        let message = match *own {
            Own::Ping(sent) => {
                let sent = sent.unwrap_or_else(|| bundles::time_tag(clock.now_ns));
                let now = clock.frame_at(clock.now_ns);
                let args = vec![OscType::Time(sent), time(clock.now_ns), answers::frames(now)];
                match asked.id {
                    None => OscMessage { addr: "/sys/time/pong".into(), args },
                    Some(_) => asked.reply(args),
                }
            }
            Own::Map(Some(sent)) => asked.reply(vec![OscType::Time(sent), answers::frames(at(sent))]),
            _ => {
                let (whole, part) = (clock.frame, clock.frames_per_second);
                let number = OscType::Int(i32::try_from(clock.number).unwrap_or(i32::MAX));
                let begin = answers::frames(Frames(whole.0));
                asked.reply(vec![time(clock.unix_ns), begin, OscType::Double(part), number])
            }
        };
        self.send(key, message);
    }
}

fn not_subscribed() -> aulos_protocol::Error {
    aulos_protocol::Error::new(ErrorCode::NotFound, "there is no such subscription")
        .remedy("send /sys/subscribe with a pattern")
}
