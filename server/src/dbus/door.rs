//! One connection to the bus, until it ends.

use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use aulos_protocol::{DriverStatus, ErrorCode, Event, OperationState, Query, Reply, mirror};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use zbus::{
    Connection, MessageStream,
    export::futures_core::Stream,
    message::{Flags, Message, Type},
    zvariant::Value,
};

use super::{
    calls::{Answer, Desk, Outcome, unsayable},
    crowd::Crowd,
    members,
    properties::{Counts, Left, View},
    signals,
};
use crate::inner::{Heard, Subscription};

/// How many messages wait for the bus.
const MOST_OUT: usize = 64;
/// How many signals that are no changes of properties wait.
const MOST_NOTICES: usize = 256;
/// How long changes are gathered before they are told.
const GATHER: Duration = Duration::from_millis(20);
/// How often it is looked for what was left out, and how often that is said at most.
const LOOK: Duration = Duration::from_secs(1);
const SAY: Duration = Duration::from_secs(60);

/// Why a connection ended.
pub enum End {
    /// The bus has gone.
    Bus,
    /// The server goes down.
    Server,
}

/// Serves a connection until it, or the server, ends.
pub async fn serve(name: &str, desk: &Desk, connection: Connection) -> End {
    // Before the name is had, so that no call that comes by it is missed.
    let messages = MessageStream::from(&connection);
    let (out, outgoing) = mpsc::channel(MOST_OUT);
    let writer = tokio::spawn(write(connection, outgoing));
    let end = match begin(desk).await {
        Some((view, subscription)) => Door::new(desk, view, out).run(name, messages, subscription).await,
        None => End::Server,
    };
    writer.abort();
    end
}

/// What there is, and the news of it; none if the server goes down.
async fn begin(desk: &Desk) -> Option<(View, Subscription)> {
    let (state, subscription) = desk.inner.subscribe(0.0).await.ok()?;
    let (driver, counts) = (driver(desk).await?, desk.streams.counts());
    Some((View { state: *state, driver, counts, happened: 0 }, subscription))
}

/// The driver; none if the server goes down.
async fn driver(desk: &Desk) -> Option<DriverStatus> {
    loop {
        match desk.inner.query(Query::Status).await {
            Ok(Reply::Status(status)) => return Some(status.driver),
            Err(error) if error.code == ErrorCode::Busy => tokio::time::sleep(GATHER).await,
            _ => return None,
        }
    }
}

/// Sends what comes, until the bus does not take it any more.
async fn write(connection: Connection, mut outgoing: mpsc::Receiver<Message>) {
    while let Some(message) = outgoing.recv().await {
        if let Err(error) = connection.send(&message).await {
            tracing::debug!("the bus takes nothing any more: {error}");
            return;
        }
    }
}

/// The next message from the bus; none when it has gone.
async fn next(messages: &mut MessageStream) -> Option<Message> {
    let next = std::future::poll_fn(|context| {
        let messages = pin!(&mut *messages);
        messages.poll_next(context)
    });
    match next.await? {
        Ok(message) => Some(message),
        Err(error) => {
            tracing::debug!("nothing comes from the bus any more: {error}");
            None
        }
    }
}

struct Door<'a> {
    desk: &'a Desk,
    view: View,
    teller: signals::Teller,
    notices: std::collections::VecDeque<Message>,
    crowd: Arc<Crowd>,
    out: mpsc::Sender<Message>,
    /// Whether the teller has looked at all that was heard.
    is_seen: bool,
    /// When what changed is told.
    due: Option<Instant>,
    /// What had been left out when that was said last, and when it may be said again.
    said: Left,
    silent_until: Instant,
}

impl<'a> Door<'a> {
    fn new(desk: &'a Desk, view: View, out: mpsc::Sender<Message>) -> Self {
        let teller = signals::Teller::new(&view);
        let said = view.counts.left();
        Self {
            desk,
            view,
            teller,
            notices: Default::default(),
            crowd: Arc::default(),
            out,
            is_seen: true,
            due: None,
            said,
            silent_until: Instant::now(),
        }
    }

    async fn run(mut self, name: &str, mut messages: MessageStream, mut subscription: Subscription) -> End {
        let naming = match request_name(name) {
            Ok(naming) => naming,
            Err(error) => {
                tracing::warn!("D-Bus: the name {name} cannot be asked for: {error}");
                return End::Server;
            }
        };
        let serial = naming.primary_header().serial_num();
        if self.out.send(naming).await.is_err() {
            return End::Bus;
        }
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let due = self.due;
            tokio::select! {
                // Nothing is taken from the bus unless there is room for an answer.
                arrived = async {
                    let room = self.out.clone().reserve_owned().await.ok()?;
                    Some((next(&mut messages).await?, room))
                } => {
                    let Some((message, room)) = arrived else { return End::Bus };
                    // What was asked for before is seen by who asks after.
                    while let Some(heard) = subscription.waiting() {
                        self.hear(heard);
                    }
                    match message.message_type() {
                        Type::MethodCall => self.take(message, room),
                        Type::MethodReturn | Type::Error
                            if message.header().reply_serial() == Some(serial) => asked_for(name, &message),
                        Type::Signal if is_naming(name, &message) => {
                            tracing::info!("D-Bus: this server is {name}");
                        }
                        _ => {}
                    }
                }
                heard = subscription.next() => match heard {
                    Some(Heard::State(state)) => {
                        // What was missed may have been of the driver.
                        let Some(driver) = driver(self.desk).await else { return End::Server };
                        self.view.driver = driver;
                        self.hear(Heard::State(state));
                    }
                    Some(heard) => self.hear(heard),
                    None => return End::Server,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    if !self.tell() {
                        return End::Bus;
                    }
                }
                _ = looks.tick() => self.say_what_was_left_out(),
            }
        }
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::State(state) => self.view.state = *state,
            Heard::Event(event) => {
                mirror::follow(&mut self.view.state, &event);
                match &*event {
                    Event::Driver(driver) => self.view.driver = (**driver).clone(),
                    Event::Warning { message } => {
                        self.notice(members::MANAGER, "Warning", vec![Value::from(message.clone())]);
                    }
                    Event::Operation(operation) if operation.ended => {
                        self.notice("operation", "Ended", ended(operation));
                    }
                    _ => {}
                }
            }
            Heard::Telemetry(_) => return,
        }
        self.view.happened += 1;
        self.is_seen = false;
        self.due.get_or_insert_with(|| Instant::now() + GATHER);
    }

    /// Notes a signal that is no change of a property.
    fn notice(&mut self, word: &str, name: &'static str, values: Vec<Value<'static>>) {
        let made = signals::of_object(word, name, values);
        match made {
            Ok(Some(signal)) if self.notices.len() < MOST_NOTICES => self.notices.push_back(signal),
            Ok(Some(_)) => {
                self.view.counts.signals_dropped.fetch_add(1, Relaxed);
            }
            Ok(None) => {}
            Err(error) => unsent(&self.view.counts, &error),
        }
    }

    /// Tells what changed, as far as there is room, and when to go on; whether the bus is still there.
    fn tell(&mut self) -> bool {
        self.is_seen |= self.teller.look(&self.view);
        loop {
            let permit = match self.out.try_reserve() {
                Ok(permit) => permit,
                Err(mpsc::error::TrySendError::Full(())) => break,
                Err(mpsc::error::TrySendError::Closed(())) => return false,
            };
            if let Some(notice) = self.notices.pop_front() {
                permit.send(notice);
                continue;
            }
            match self.teller.next() {
                Some(Ok(Some(signal))) => permit.send(signal),
                Some(Ok(None)) => {}
                Some(Err(error)) => unsent(&self.view.counts, &error),
                None => break,
            }
        }
        let has_more = self.teller.has_more() || !self.notices.is_empty();
        self.due = (has_more || !self.is_seen).then(|| Instant::now() + GATHER);
        true
    }

    /// Answers a call, or has it answered later. `room` is that for an answer at once.
    fn take(&mut self, call: Message, room: mpsc::OwnedPermit<Message>) {
        let place = match self.crowd.admit(&call) {
            Ok(place) => place,
            Err(failure) => {
                self.view.counts.refused.fetch_add(1, Relaxed);
                return reply_now(room, &call, Err(failure));
            }
        };
        match self.desk.answer(&self.view, &call) {
            Outcome::Now(answer) => reply_now(room, &call, answer),
            Outcome::Later(answer) => {
                let out = self.out.clone();
                tokio::spawn(async move {
                    let answer = answer.await;
                    // Made only when there is room for it: answers can be large.
                    if let Ok(room) = out.reserve().await
                        && let Some(reply) = reply(&call, answer)
                    {
                        room.send(reply);
                    }
                    drop(place);
                });
            }
        }
    }

    /// Writes down what was left out, as whoever has a part in it may not look at the counts.
    fn say_what_was_left_out(&mut self) {
        let left = self.view.counts.left();
        if left == self.said || Instant::now() < self.silent_until {
            return;
        }
        let Left { refused, signals, meters } = left;
        tracing::warn!(
            "D-Bus: {} calls refused, {} signals and {} readings of meters left out since this was said last",
            refused - self.said.refused,
            signals - self.said.signals,
            meters - self.said.meters,
        );
        (self.said, self.silent_until) = (left, Instant::now() + SAY);
    }
}

/// Sends the answer to where there is room for it.
fn reply_now(room: mpsc::OwnedPermit<Message>, call: &Message, answer: Answer) {
    if let Some(reply) = reply(call, answer) {
        room.send(reply);
    }
}

fn unsent(counts: &Counts, error: &zbus::Error) {
    counts.signals_dropped.fetch_add(1, Relaxed);
    tracing::warn!("D-Bus: a signal cannot be sent: {error}");
}

fn ended(operation: &OperationState) -> Vec<Value<'static>> {
    let error = operation.error.as_ref().map_or_else(String::new, ToString::to_string);
    vec![
        Value::U64(operation.operation),
        Value::from(operation.title.clone()),
        Value::from(error),
        Value::from(operation.report.clone()),
    ]
}

/// The message that answers a call; none if no answer is wanted.
fn reply(call: &Message, answer: Answer) -> Option<Message> {
    let header = call.header();
    if header.primary().flags().contains(Flags::NoReplyExpected) {
        return None;
    }
    let good = answer.and_then(|values| {
        let returned = Message::method_return(&header).map_err(unsayable)?;
        match values.is_empty() {
            true => returned.build(&()),
            false => signals::body(values).and_then(|body| returned.build(&body)),
        }
        .map_err(unsayable)
    });
    let made = good.or_else(|failure| Message::error(&header, failure.name)?.build(&failure.text));
    made.map_err(|error| tracing::warn!("D-Bus: a call cannot be answered: {error}")).ok()
}

/// The call that asks the bus for a name, or for the next turn if somebody has it.
fn request_name(name: &str) -> zbus::Result<Message> {
    Message::method_call("/org/freedesktop/DBus", "RequestName")?
        .destination("org.freedesktop.DBus")?
        .interface("org.freedesktop.DBus")?
        .build(&(name, 0_u32))
}

/// Says what the bus said to that. That the name is had is told by a signal.
fn asked_for(name: &str, message: &Message) {
    const OWNER: u32 = 1;
    match message.body().deserialize::<u32>() {
        Ok(OWNER) if message.message_type() == Type::MethodReturn => {}
        Ok(_) if message.message_type() == Type::MethodReturn => tracing::warn!(
            "D-Bus: the name {name} is taken by another program; it is had when that one ends (another: --dbus-name)"
        ),
        _ => tracing::warn!(
            "D-Bus: the bus does not give the name {name}: {}",
            message.body().deserialize::<&str>().unwrap_or("it does not say why")
        ),
    }
}

/// Whether the bus says that the name is had.
fn is_naming(name: &str, message: &Message) -> bool {
    let header = message.header();
    header.sender().is_some_and(|sender| sender.as_str() == "org.freedesktop.DBus")
        && header.member().is_some_and(|member| member.as_str() == "NameAcquired")
        && message.body().deserialize::<&str>().is_ok_and(|had| had == name)
}
