//! The transport: it moves when the files hold what it is about to play.

use std::{collections::VecDeque, time::Instant};

use aulos_engine::{Performed, TransportChange, session};
use aulos_protocol::{Applied, Command, Error, ErrorCode, Event, Frames, Range, Reply};

use super::{Answer, Control, Told};
use crate::library::{Course, DISK_TIMEOUT};

/// A change of the transport that waits for the disk, or for the one before it.
pub(super) struct Order {
    change: TransportChange,
    /// The engine's frame from which it is to hold, if not at once.
    at: Option<u64>,
    pub(super) answer: Option<Answer>,
    since: Option<Instant>,
}

/// A change of the transport that is to come, from when it was sent until it holds.
pub(super) struct Timed {
    change: TransportChange,
    /// The engine's frame from which it holds.
    frame: u64,
    /// Whether the audio thread knows of it.
    is_known: bool,
}

impl Control {
    /// Takes a command to the transport; it is carried out in its turn.
    pub(super) fn order_transport(&mut self, command: &Command, at: Option<u64>, answer: Answer) {
        const MOST: usize = 256;
        if self.transport.len() >= MOST {
            return answer(Err(Error::new(ErrorCode::Busy, "too many transport commands wait for the disk")
                .remedy("wait until those before are carried out")));
        }
        // Of what is to come, one is read ahead.
        if at.is_some() && (self.timed_transport.is_some() || self.transport.iter().any(|o| o.at.is_some())) {
            return answer(Err(Error::new(
                ErrorCode::Busy,
                "the transport has a timed change to come already",
            )
            .remedy("send this one when that has been carried out")));
        }
        match change(command) {
            Ok(change) => {
                if at.is_none() && matches!(change, TransportChange::Pause | TransportChange::Stop) {
                    self.give_up_waiting();
                }
                self.transport.push_back(Order { change, at, answer: Some(answer), since: None });
                self.carry_on_transport();
            }
            Err(error) => answer(Err(error)),
        }
    }

    /// What stands still waits for no disk: starts and locates that do are void.
    fn give_up_waiting(&mut self) {
        for order in std::mem::take(&mut self.transport) {
            if let Some(answer) = order.answer {
                answer(Err(Error::new(
                    ErrorCode::Unavailable,
                    "the transport was stopped before the files were read",
                )));
            }
        }
        self.read_ahead.prepare(None);
    }

    /// Where the transport will play from after `change`.
    fn course_after(&self, change: TransportChange) -> Option<Course> {
        let counters = self.controller.counters();
        let loop_range = self.controller.session().loop_frames();
        let course = |position, loop_range| Some(Course { position, loop_range });
        match change {
            TransportChange::Play if !counters.rolling() => course(counters.position(), loop_range),
            TransportChange::Locate(position) => course(position, loop_range),
            // The seam may come at once.
            TransportChange::Loop(Some(range)) => course(range.0, Some(range)),
            _ => None,
        }
    }

    /// Carries out the orders that need not wait any more.
    pub(super) fn carry_on_transport(&mut self) {
        while let Some(order) = self.transport.front_mut() {
            let (change, at) = (order.change, order.at);
            let first = order.since.is_none();
            let since = *order.since.get_or_insert_with(Instant::now);
            let course = self.course_after(change);
            if let Some(course) = course {
                if first {
                    self.read_ahead.prepare(Some(course));
                }
                if !self.read_ahead.ready(course) && since.elapsed() < DISK_TIMEOUT {
                    return;
                }
            }
            let Some(mut order) = self.transport.pop_front() else { return };
            let answer = order.answer.take();
            if course.is_some_and(|course| !self.read_ahead.ready(course)) {
                self.read_ahead.prepare(None);
                if let Some(answer) = answer {
                    answer(Err(Error::new(
                        ErrorCode::Io,
                        "the disk does not deliver the audio files in time",
                    )
                    .remedy("check the disk; the transport stays as it is")));
                }
                continue;
            }
            match self.controller.transport(change, at) {
                Ok(Performed { ticket, changes, .. }) => {
                    // What is said now takes the place of what was to come.
                    self.timed_transport = at.map(|frame| Timed { change, frame, is_known: false });
                    let told = match change {
                        TransportChange::Loop(range) if at.is_none() => {
                            self.read_ahead.set_loop(range);
                            Told::Changes { changes, since: None }
                        }
                        _ => Told::Transport,
                    };
                    let revision = self.controller.revision();
                    let applied = Applied { revision, ..Applied::default() };
                    self.wait_for(ticket, at, applied, told, answer);
                    // What is to come stays read ahead until it is there, or another change takes its place.
                    if at.is_none() {
                        self.read_ahead.prepare(None);
                    }
                }
                Err(error) => {
                    if let Some(answer) = answer {
                        answer(Err(error));
                    }
                }
            }
        }
    }
}

impl Control {
    /// Forgets the change that is to come, if there is one; nothing else changes.
    pub(super) fn clear_transport(&mut self, answer: Answer) {
        let (to_come, others) = std::mem::take(&mut self.transport).into_iter().partition(|o| o.at.is_some());
        self.transport = others;
        let to_come: VecDeque<Order> = to_come;
        for answer in to_come.into_iter().filter_map(|order| order.answer) {
            answer(Err(Error::new(ErrorCode::Unavailable, "what was to come was cleared")));
        }
        if self.timed_transport.is_none() {
            return answer(Ok(Reply::Done));
        }
        // What is said now takes the place of what was to come: that it goes on as it does.
        let rolling = self.controller.counters().rolling();
        let change = if rolling { TransportChange::Play } else { TransportChange::Pause };
        self.transport.push_back(Order { change, at: None, answer: Some(answer), since: None });
        self.carry_on_transport();
    }

    /// Notes that the change to come is known to the audio thread, and will hold from `frame` on.
    pub(super) fn time_transport(&mut self, frame: Frames) {
        if let Some(timed) = &mut self.timed_transport {
            (timed.frame, timed.is_known) = (frame.0, true);
        }
    }

    /// Tells of the change that was to come when its frame has passed.
    pub(super) fn tell_timed_transport(&mut self) {
        let now = self.controller.counters().frame();
        let Some(timed) = self.timed_transport.take_if(|timed| timed.is_known && timed.frame < now) else {
            return;
        };
        if self.transport.is_empty() {
            self.read_ahead.prepare(None);
        }
        let frame = Frames(timed.frame);
        if let TransportChange::Loop(range) = timed.change {
            self.read_ahead.set_loop(range);
            let Performed { ticket, changes, .. } = self.controller.loops(range);
            let applied = Applied { revision: self.controller.revision(), ..Applied::default() };
            // In its turn: edits that were made before are told before.
            self.wait_for(ticket, None, applied, Told::Changes { changes, since: Some(frame) }, None);
            return;
        }
        let transport = self.transport_state();
        self.hub.tell(&Event::Transport { frame, transport });
    }
}

fn change(command: &Command) -> Result<TransportChange, Error> {
    match command {
        Command::Play => Ok(TransportChange::Play),
        Command::Pause => Ok(TransportChange::Pause),
        Command::Stop => Ok(TransportChange::Stop),
        Command::Locate { position } if position.0 <= session::MAX_POSITION => {
            Ok(TransportChange::Locate(position.0))
        }
        Command::Locate { position } => {
            let range = Range { min: 0.0, max: session::MAX_POSITION as f64, unit: "frames".into() };
            Err(Error::out_of_range("position", position.0 as f64, range))
        }
        Command::Loop { start, end } => {
            let range = session::loop_range(*start, *end)?;
            Ok(TransportChange::Loop(range.map(|(start, end)| (start.0, end.0))))
        }
        other => Err(Error::new(ErrorCode::Internal, format!("{} is no transport command", other.title()))),
    }
}
