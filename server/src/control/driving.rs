//! The driver, as the control thread sees it: what the session wants of it, and changes of it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc::sync_channel,
    },
    time::Duration,
};

use aulos_engine::Controller;
use aulos_protocol::{
    DriverKind, DriverStatus, Error, ErrorCode, Event, Frames, NodeKind, Range, Rate, Reply, params, ports,
};

use super::{Answer, Control};
use crate::drivers::{self, Channel, Facts, News, Setup, Shown, Wanted};

/// By what it is seen that the driver may have to be told something else.
#[derive(PartialEq, Eq)]
pub(super) struct Told {
    revision: u64,
    latency: u64,
    reach: (usize, usize),
}

/// The longest block of a device that can be asked for, in frames.
const MOST_BLOCK: u32 = 8192;

/// What a session wants of a device: the channels of its inputs and outputs, each named after the first node that
/// uses it.
pub(super) fn wanted(controller: &Controller) -> Wanted {
    let session = controller.session();
    let mut wanted = Wanted::default();
    for node in session.nodes.values() {
        let (channels, arrival): (&mut BTreeMap<_, _>, _) = match node.kind {
            NodeKind::Output => (&mut wanted.playback, controller.arrival(node.id)),
            NodeKind::Input => (&mut wanted.capture, 0),
            _ => continue,
        };
        let first = params::number(node, "first_channel").unwrap_or(1.0) as usize - 1;
        for (at, name) in ports::channel_names(node.channels).enumerate() {
            if first + at >= drivers::MOST_CHANNELS {
                break;
            }
            let name = format!("{}/{name}", node.slug);
            let channel = channels.entry(first + at).or_insert(Channel { name, arrival });
            channel.arrival = channel.arrival.max(arrival);
        }
    }
    // A cycle or two until it begins, and some for what hangs on in the driver.
    let slack = u64::from(session.rate.hz()) / 2;
    wanted.settles = controller.total_latency() + 2 * session.fade_frames() + slack;
    wanted
}

/// The last channels of the outputs and the inputs, counted from 1, where the device has none of that number.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Unreached {
    outputs: Option<usize>,
    inputs: Option<usize>,
}

/// How many channels a device plays and records, or could if it was opened anew.
fn reach(facts: Option<&Facts>, before: Option<(usize, usize)>) -> (usize, usize) {
    const ALL: (usize, usize) = (drivers::MOST_CHANNELS, drivers::MOST_CHANNELS);
    facts.map_or(before.unwrap_or(ALL), |facts| facts.most.unwrap_or(ALL))
}

fn unreached(controller: &Controller, reach: (usize, usize)) -> Unreached {
    let beyond = |kind: NodeKind, reach: usize| {
        let nodes = controller.session().nodes.values().filter(|node| node.kind == kind);
        let last = nodes.filter_map(|node| {
            Some(params::number(node, "first_channel")? as usize - 1 + usize::from(node.channels))
        });
        last.max().filter(|last| *last > reach)
    };
    Unreached { outputs: beyond(NodeKind::Output, reach.0), inputs: beyond(NodeKind::Input, reach.1) }
}

fn unreachable_channels(unreached: Unreached, reach: (usize, usize)) -> Vec<Error> {
    let told = |last: Option<usize>, nodes: &str, does: &str, reach: usize| {
        let channel = last?;
        let text =
            format!("channel {channel} of the {nodes} leads nowhere: the device {does} {reach} channels");
        let remedy = format!("set first_channel of the {nodes} above it, or use a device that has it");
        Some(Error::new(ErrorCode::Unavailable, text).remedy(remedy))
    };
    let outputs = told(unreached.outputs, "outputs", "plays", reach.0);
    outputs.into_iter().chain(told(unreached.inputs, "inputs", "records", reach.1)).collect()
}

impl Control {
    /// Tells the driver what the session wants of it, if that may have changed; and the subscribers what the driver
    /// says.
    pub(super) fn look_at_driver(&mut self) {
        // While no device runs, it is the one that ran.
        let before = self.driver_told.as_ref().map(|told| told.reach);
        let reach = reach(self.driver.shown().facts.as_ref(), before);
        let (revision, latency) = (self.controller.revision(), self.controller.total_latency());
        let told = Some(Told { revision, latency, reach });
        if told != self.driver_told && self.driver.may_have_device() {
            let wanted = wanted(&self.controller);
            let unreached = unreached(&self.controller, reach);
            if unreached != self.unreached {
                unreachable_channels(unreached, reach).iter().for_each(|error| self.warn(error));
            }
            self.unreached = unreached;
            match self.driver.want(wanted) {
                Ok(()) => self.driver_told = told,
                // It is tried again in the next round.
                Err(error) => tracing::debug!("{error}"),
            }
        }
        while let Some(news) = self.driver.news() {
            match news {
                News::Changed => {
                    let status = self.driver_status();
                    self.hub.tell(&Event::Driver(Box::new(status)));
                }
                News::Warning(error) => self.warn(&error),
            }
        }
    }

    pub(super) fn driver_status(&self) -> DriverStatus {
        let stats = &self.driver.stats;
        let shown = self.driver.shown();
        let facts = shown.facts;
        DriverStatus {
            name: shown.setup.kind.name().to_owned(),
            running: facts.is_some() || !shown.setup.kind.is_device(),
            reason: shown.reason,
            device: facts.as_ref().map(|facts| facts.name.clone()),
            lost: shown.lost,
            losses: shown.losses,
            other_rate: facts
                .as_ref()
                .map(|facts| facts.rate)
                .filter(|rate| *rate != self.controller.session().rate)
                .map(Rate::hz),
            block: facts.as_ref().map_or(shown.setup.block, |facts| facts.block),
            cycles: stats.cycles(),
            frame: Frames(self.controller.counters().frame()),
            late: stats.late(),
            xruns: stats.xruns(),
            playback_latency: Frames(facts.as_ref().map_or(0, |facts| facts.playback_latency)),
            capture_latency: Frames(facts.as_ref().map_or(0, |facts| facts.capture_latency)),
            load: self.load.load,
            realtime: stats.realtime(),
            unlocked: self.unlocked.clone(),
        }
    }

    /// Changes the driver; `answer` is told when that is done.
    pub(super) fn set_driver(
        &mut self,
        driver: Option<DriverKind>,
        device: Option<String>,
        block: Option<u32>,
        answer: Answer,
    ) {
        if let Some(frames) = block.filter(|block| !(1..=MOST_BLOCK).contains(block)) {
            let range = Range { min: 1.0, max: f64::from(MOST_BLOCK), unit: "frames".into() };
            return answer(Err(Error::out_of_range("the block", f64::from(frames), range)));
        }
        let Shown { setup: before, asked, .. } = self.driver.shown();
        // What was left open stays so.
        let kind = driver.map_or(asked, Into::into);
        if device.is_some() && !matches!(kind, drivers::Kind::Alsa | drivers::Kind::Auto) {
            let text = format!("the {} driver has no devices to choose from", kind.name());
            return answer(Err(Error::new(ErrorCode::InvalidArgument, text)
                .remedy("name the driver, too: aulosctl driver set alsa --device NAME")));
        }
        let setup = Setup {
            kind,
            device: device.or_else(|| before.device.clone()),
            block: block.unwrap_or(before.block),
            impose_block: block.is_some(),
            ..before
        };
        self.driver.set(setup, Box::new(move |done| answer(done.map(|()| Reply::Done))));
    }

    /// Looks which drivers and devices there are, on a thread of its own: devices take their time.
    pub(super) fn list_drivers(&mut self, answer: Answer) {
        /// How many may look at once, those included that a device keeps for ever.
        const MOST: usize = 4;
        const PATIENCE: Duration = Duration::from_secs(10);
        static LOOKING: AtomicUsize = AtomicUsize::new(0);
        let hangs = || {
            Error::new(ErrorCode::Unavailable, "a driver does not answer when it is looked at")
                .remedy("see whether a sound server or device hangs")
        };
        if LOOKING.fetch_add(1, Relaxed) >= MOST {
            LOOKING.fetch_sub(1, Relaxed);
            return answer(Err(hangs()));
        }
        let start = |work: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name("aulos-devices".into()).spawn(work)
        };
        let (found, drivers) = sync_channel(1);
        let looks = start(Box::new(move || {
            let drivers = std::panic::catch_unwind(drivers::list);
            LOOKING.fetch_sub(1, Relaxed);
            // Nobody may wait for it any more.
            let _ = found.send(drivers);
        }));
        if let Err(error) = looks {
            LOOKING.fetch_sub(1, Relaxed);
            return answer(Err(Error::io("start a thread", &error)));
        }
        // Shared, as it must not go with a thread that cannot be started.
        let answer = Arc::new(Mutex::new(Some(answer)));
        let tell = {
            let answer = answer.clone();
            move |outcome| {
                if let Some(answer) = answer.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    answer(outcome);
                }
            }
        };
        let told = tell.clone();
        let waits = start(Box::new(move || {
            told(match drivers.recv_timeout(PATIENCE) {
                Ok(Ok(drivers)) => Ok(Reply::Drivers { drivers }),
                Ok(Err(_)) => Err(Error::new(ErrorCode::Internal, "looking at the drivers panicked")),
                Err(_) => Err(hangs()),
            });
        }));
        if let Err(error) = waits {
            tell(Err(Error::io("start a thread", &error)));
        }
    }
}
