//! What the control thread tells about itself.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use aulos_protocol::{
    Error, Frames, Node, ParamReading, Reply, Session, Status, StreamStatus, Telemetry, params,
};

use super::Control;
use crate::drivers::Stats;

/// Load over the last second.
#[derive(Default)]
pub(super) struct Load {
    since: Option<(Instant, (u64, u64))>,
    pub(super) load: f64,
    /// Those of the last minute, the newest last.
    seconds: VecDeque<f64>,
}

/// How many seconds are remembered.
const SECONDS: usize = 60;

impl Load {
    /// Looks at the counters; once a second the load is computed anew.
    pub fn look(&mut self, stats: &Stats) {
        let times = stats.times();
        let Some((since, before)) = self.since else {
            self.since = Some((Instant::now(), times));
            return;
        };
        if since.elapsed().as_secs_f64() >= 1.0 {
            let audio = times.1.saturating_sub(before.1);
            self.load = if audio == 0 { 0.0 } else { (times.0 - before.0) as f64 / audio as f64 };
            self.since = Some((Instant::now(), times));
            if self.seconds.len() == SECONDS {
                self.seconds.pop_front();
            }
            self.seconds.push_back(self.load);
        }
    }

    /// The highest load of a second within the last minute.
    fn worst(&self) -> f64 {
        self.seconds.iter().copied().fold(0.0, f64::max)
    }
}

/// The nodes that are soloed.
fn soloed(session: &Session) -> Vec<String> {
    let is_soloed = |node: &Node| params::number(node, "solo").is_some_and(|on| on != 0.0);
    let nodes = session.nodes.in_order().into_iter().filter(|node| is_soloed(node));
    nodes.map(|node| node.slug.to_string()).collect()
}

impl Control {
    pub(super) fn status(&self) -> Status {
        let session = self.controller.session();
        let history = self.controller.history();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            session: session.name.clone(),
            path: self.folder.as_ref().map(|f| f.path().display().to_string()),
            unsaved: self.unsaved(),
            revision: self.controller.revision(),
            rate: session.rate,
            tempo: session.tempo.get(),
            signature: session.signature,
            driver: self.driver_status(),
            worst_load: self.load.worst(),
            transport: self.transport_state(),
            loop_range: session.loop_range,
            soloed: soloed(session),
            nodes: session.nodes.len(),
            links: session.links.len(),
            tasks: self.controller.tasks(),
            latency: Frames(self.controller.total_latency()),
            streams: StreamStatus {
                open: self.read_ahead.open(),
                underruns: self.read_ahead.streams().underruns(),
            },
            undo: history.undo_title().map(str::to_owned),
            redo: history.redo_title().map(str::to_owned),
            operations: self.operations.running(),
            warnings: self.warnings.latest(),
            warnings_left_out: self.warnings.left_out(),
            faults: self.controller.faults(),
        }
    }

    /// Takes the meters' peaks and keeps them for everybody who wants them.
    pub(super) fn look_at_meters(&mut self) {
        let meters = self.controller.meters();
        self.hub.note_peaks(&meters);
        self.peaks.note(&meters);
    }

    /// The newest of what moves, but for the meters, which each subscriber has its own of.
    pub(super) fn telemetry(&self) -> Telemetry {
        Telemetry {
            frame: Frames(self.controller.counters().frame()),
            transport: self.transport_state(),
            load: self.load.load,
            late: self.driver.stats.late(),
            underruns: self.read_ahead.streams().underruns(),
            meters: Vec::new(),
        }
    }

    pub(super) fn node(&self, name: &str) -> Result<Arc<Node>, Error> {
        let session = self.controller.session();
        session.node(name).cloned().ok_or_else(|| {
            Error::not_found("node", name, session.nodes.values().map(|node| node.slug.as_str()))
        })
    }

    pub(super) fn get(&self, name: &str, param: Option<&str>) -> Result<Reply, Error> {
        let node = self.node(name)?;
        let wanted = match param {
            Some(param) => std::slice::from_ref(params::find(&node, param)?),
            None => params::of(node.kind, node.channels),
        };
        let reading = |param: &params::Param| ParamReading {
            name: param.name.to_owned(),
            value: params::get(&node, param),
            range: param.range(),
            choices: param.choices(),
            text: param.text.to_owned(),
        };
        Ok(Reply::Params { params: wanted.iter().map(reading).collect() })
    }
}
