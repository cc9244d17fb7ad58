//! What clients ask, carried out, and answered.

use std::sync::Arc;

use aulos_osc::{
    meaning::{Meaning, meaning},
    own::{Own, Told},
    space::{self, Target},
};
use aulos_protocol::{Applied, Error, ErrorCode, Query, Reply, Status, wire::Ask};
use rosc::{OscMessage, OscTime, OscType};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    access,
    answers::{self, Answer, Asked},
    bundles,
    client::{Client, Key, MOST_ASKED, Queued, What},
    desk::{Came, Desk, Done, Wanted},
};

/// How many requests are on their way to the control thread at once, of all clients.
const MOST_ASKED_BY_ALL: usize = 256;
/// How many messages a client on another machine is answered with by UDP before it has subscribed: an answer must not be
/// much larger than what was asked, as the sender's address may be a lie.
const MOST_UNPROVEN: usize = 16;

impl Desk {
    /// Carries out what waits, as far as it can be: a message of each client in turn, so that none keeps the others
    /// waiting.
    pub(super) fn pump(&mut self) {
        let keys: Vec<_> = self.clients.keys().copied().collect();
        let mut moved = true;
        while moved {
            moved = false;
            for key in &keys {
                moved |= self.asked.len() < MOST_ASKED_BY_ALL && self.step(*key);
            }
        }
    }

    /// Carries out the next message of a client, if it is its time.
    fn step(&mut self, key: Key) -> bool {
        let Some(client) = self.clients.get_mut(&key) else { return false };
        if client.asked >= MOST_ASKED || client.changing > 0 || !client.outbox.has_room() {
            return false;
        }
        let Some(Queued { what, bytes, _permit }) = client.next() else { return false };
        match what {
            What::Message(asked, message) => self.begin(key, asked, message, (bytes, _permit)),
            What::Bundle(time, messages) if client.asked == 0 => {
                self.begin_bundle(key, time, messages);
                true
            }
            what @ What::Bundle(..) => {
                client.put_back(Queued { what, bytes, _permit });
                false
            }
        }
    }

    /// Begins what a message asks; whether it could be begun now.
    fn begin(
        &mut self,
        key: Key,
        asked: Asked,
        message: OscMessage,
        (bytes, _permit): (usize, Option<Arc<OwnedSemaphorePermit>>),
    ) -> bool {
        let Some(client) = self.clients.get_mut(&key) else { return true };
        let found = match meaning(&self.state, &message) {
            // What was sent before is seen in what is read, and in what addresses mean.
            Ok(Meaning::Get(_) | Meaning::Own(_)) | Err(_) if client.asked > 0 => {
                client.put_back(Queued { what: What::Message(asked, message), bytes, _permit });
                return false;
            }
            Ok(found) => found,
            Err(error) => {
                self.refuse(key, &asked, &error);
                return true;
            }
        };
        match found {
            Meaning::Nothing => {}
            Meaning::Own(Own::Request(id, inner)) if asked.id.is_none() => {
                let asked = Asked { address: inner.addr.clone(), id: Some(id) };
                client.put_back(Queued { what: What::Message(asked, inner), bytes, _permit });
            }
            Meaning::Own(Own::Request(..)) => {
                let error = super::invalid("a request with a number cannot have another in it");
                self.refuse(key, &asked, &error);
            }
            Meaning::Own(own) => self.own(key, asked, own),
            Meaning::Get(targets) => self.get(key, asked, targets),
            Meaning::Ask(Ask::Query(query)) => {
                let answer = self.inner.query(query);
                self.ask(key, asked, true, async move { Came::Answer(answer.await) });
            }
            Meaning::Ask(Ask::Command(command)) => match access::check(&command, client.trusted) {
                Ok(()) => {
                    let answer = self.inner.command(command);
                    self.ask(key, asked, true, async move { Came::Answer(answer.await) });
                }
                Err(error) => self.refuse(key, &asked, &error),
            },
            Meaning::Set(settings) => {
                let mut hold = |target: &Target| client.feed.hold(&target.to_string(), &message.args);
                let held: Vec<_> =
                    settings.iter().map(|(target, _)| (target.clone(), hold(target))).collect();
                let renames = held.iter().any(|(target, _)| matches!(target, Target::Name(_)));
                if let Some(command) = Meaning::Set(settings).command() {
                    let answer = self.inner.command(command);
                    self.ask(key, asked, renames, async move { Came::Set(held, answer.await) });
                }
            }
        }
        true
    }

    fn begin_bundle(&mut self, key: Key, time: OscTime, messages: Vec<OscMessage>) {
        let Some(client) = self.clients.get(&key) else { return };
        let (inner, state, trusted) = (self.inner.clone(), self.state.clone(), client.trusted);
        let asked = Asked { address: "#bundle".into(), id: None };
        self.ask(key, asked, true, async move {
            Came::Bundle(Box::new(bundles::run(&inner, state, trusted, time, messages).await))
        });
    }

    /// Notes that something is asked for a client. What is `changing` must be done before the client's next message.
    pub(super) fn ask(
        &mut self,
        key: Key,
        asked: Asked,
        changing: bool,
        came: impl Future<Output = Came> + Send + 'static,
    ) {
        let Some(client) = self.clients.get_mut(&key) else { return };
        client.asked += 1;
        client.changing += usize::from(changing);
        self.asked.spawn(async move { Done { key, asked, changing, came: came.await } });
    }

    /// Tells a client what came of what it has asked.
    pub(super) fn came(&mut self, Done { key, asked, changing, came }: Done) {
        let Some(client) = self.clients.get_mut(&key) else { return };
        client.asked -= 1;
        client.changing -= usize::from(changing);
        match came {
            Came::Answer(Ok(reply)) => self.answer(key, &asked, answers::of(reply)),
            Came::Set(held, result) => self.came_to(key, &asked, &held, result),
            Came::Status(wanted, Ok(status)) => self.came_status(key, &asked, wanted, &status),
            Came::Bundle(outcome) => self.came_bundle(key, &asked, *outcome),
            Came::Clock(own, Ok(clock)) => self.tell_clock(key, &asked, &own, &clock),
            Came::Answer(Err(error)) | Came::Status(_, Err(error)) | Came::Clock(_, Err(error)) => {
                self.refuse(key, &asked, &error);
            }
        }
    }

    /// What came of settings. Whoever has set a control is told where it is, if it is not where it was set to.
    fn came_to(&mut self, key: Key, asked: &Asked, held: &[(Target, u64)], result: Result<Reply, Error>) {
        for (target, serial) in held {
            let address = target.to_string();
            let Ok(now) = space::find(&self.state, &address) else { continue };
            let now = now.value(&self.state);
            if let Some(client) = self.clients.get_mut(&key) {
                client.feed.came(&address, *serial, &now);
            }
        }
        match result {
            // Who turns a knob does not wait for an answer.
            Ok(_) if asked.id.is_none() => {}
            Ok(reply) => self.answer(key, asked, answers::of(reply)),
            Err(error) => self.refuse(key, asked, &error),
        }
    }

    fn came_status(&mut self, key: Key, asked: &Asked, wanted: Wanted, status: &Status) {
        self.state.transport = status.transport;
        let whole = |number: u32| OscType::Int(i32::try_from(number).unwrap_or(i32::MAX));
        let args = match wanted {
            Wanted::Values(targets) => return self.tell_values(key, asked, &targets),
            Wanted::Told(Told::Info) => vec![
                answers::text("Aulos"),
                answers::text(&status.version),
                answers::text(&status.session),
                whole(status.rate.hz()),
                whole(status.driver.block),
            ],
            Wanted::Told(Told::Load) => vec![OscType::Float(status.driver.load as f32)],
            Wanted::Told(Told::Xruns) => {
                vec![OscType::Long(i64::try_from(status.driver.late).unwrap_or(i64::MAX))]
            }
            Wanted::Told(Told::Quantum) => vec![whole(status.driver.block)],
            Wanted::Told(Told::Dirty) => vec![OscType::Int(i32::from(status.unsaved))],
        };
        // Who asks what is there knows no more than this address.
        let message = match asked.id {
            None => OscMessage { addr: asked.address.clone(), args },
            Some(_) => asked.reply(args),
        };
        self.send(key, message);
    }

    fn came_bundle(&mut self, key: Key, asked: &Asked, outcome: bundles::Outcome) {
        self.counts.late += u64::from(outcome.late);
        if let Some(client) = self.clients.get_mut(&key) {
            for message in outcome.rest.into_iter().rev() {
                let asked = Asked { address: message.addr.clone(), id: None };
                client.put_back(Queued { what: What::Message(asked, message), bytes: 0, _permit: None });
            }
        }
        match outcome.changed {
            None => {}
            Some(Ok(applied)) => {
                let frame = answers::frames(applied.frame);
                let args = [frame].into_iter().chain(names(applied)).collect();
                self.send(key, asked.reply(args));
            }
            Some(Err(error)) => self.refuse(key, asked, &error),
        }
    }

    /// Tells the values of these.
    pub(super) fn get(&mut self, key: Key, asked: Asked, targets: Vec<Target>) {
        let moves =
            |target: &Target| matches!(target, Target::Whole(space::Whole::Frame | space::Whole::Bbt));
        if self.state.transport.rolling && targets.iter().any(moves) {
            let status = self.status();
            return self.ask(
                key,
                asked,
                true,
                async move { Came::Status(Wanted::Values(targets), status.await) },
            );
        }
        self.tell_values(key, &asked, &targets);
    }

    /// Asks the control thread how it is.
    pub(super) fn status(&self) -> impl Future<Output = Result<Box<Status>, Error>> + Send + use<> {
        let status = self.inner.query(Query::Status);
        async move {
            match status.await? {
                Reply::Status(status) => Ok(status),
                _ => Err(answers::unexpected()),
            }
        }
    }

    fn tell_values(&mut self, key: Key, asked: &Asked, targets: &[Target]) {
        let state = &self.state;
        let value = |target: &Target| (target.to_string(), target.value(state));
        let of_one = !asked.address.starts_with("/sys/") && !aulos_osc::pattern::is_pattern(&asked.address);
        if let ([target], true) = (targets, of_one) {
            let args = target.value(state);
            let message = match asked.id {
                None => OscMessage { addr: asked.address.clone(), args },
                Some(_) => asked.reply(args),
            };
            return self.send(key, message);
        }
        let count = OscType::Int(i32::try_from(targets.len()).unwrap_or(i32::MAX));
        let end = asked.reply(vec![count]);
        let message = |(addr, args): (String, Vec<OscType>)| match asked.id {
            None => OscMessage { addr, args },
            Some(_) => asked.reply(std::iter::once(answers::text(addr)).chain(args).collect()),
        };
        let parts = targets.iter().map(value).map(message).chain([end]).collect();
        self.send_parts(key, asked, parts);
    }

    /// Answers a client.
    pub(super) fn answer(&mut self, key: Key, asked: &Asked, answer: Answer) {
        match answer {
            Answer::One(args) => self.send(key, asked.reply(args)),
            Answer::Many(parts) => {
                let parts = parts.into_iter().chain([Vec::new()]).map(|args| asked.reply(args)).collect();
                self.send_parts(key, asked, parts);
            }
        }
    }

    /// Tells a client why something is not done.
    pub(super) fn refuse(&mut self, key: Key, asked: &Asked, error: &Error) {
        self.counts.errors += 1;
        self.send(key, asked.error(error));
    }

    pub(super) fn send(&mut self, key: Key, message: OscMessage) {
        if let Some(client) = self.clients.get_mut(&key) {
            client.outbox.answer(&self.udp, message, &mut self.counts);
        }
    }

    /// Sends an answer of many messages, as fast as the client may be sent them.
    pub(super) fn send_parts(&mut self, key: Key, asked: &Asked, parts: Vec<OscMessage>) {
        let Some(client) = self.clients.get_mut(&key) else { return };
        let count = parts.len();
        let error = if count > MOST_UNPROVEN && !is_proven(key, client) {
            Error::new(ErrorCode::Unavailable, format!("the answer has {count} messages"))
                .expected(format!("at most {MOST_UNPROVEN} by UDP to another machine that is not subscribed"))
                .remedy("send /sys/subscribe first, or ask by TCP")
        } else if client.outbox.answer_in_parts(parts) {
            client.outbox.move_on(&self.udp, &mut self.counts);
            return;
        } else {
            Error::new(
                ErrorCode::Busy,
                format!("the answer has {count} messages, for which there is no room"),
            )
            .remedy("wait for the answers before, ask for less, or ask by TCP")
        };
        self.refuse(key, asked, &error);
    }
}

/// Whether what is sent to a client goes to who has asked for it.
fn is_proven(key: Key, client: &Client) -> bool {
    matches!(key, Key::Tcp(_)) || access::is_here(client.peer) || !client.feed.is_empty()
}

/// The names and numbers of what was made.
fn names(applied: Applied) -> Vec<OscType> {
    match answers::of(Reply::Applied(applied)) {
        Answer::One(args) => args.into_iter().skip(1).collect(),
        Answer::Many(_) => Vec::new(),
    }
}
