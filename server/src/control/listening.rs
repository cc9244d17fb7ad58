//! Those who listen to a node for a while.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aulos_nodes::{Listener, dsp::analysis::Analyzer};
use aulos_protocol::{Error, ErrorCode, Range, Reply};

use super::{Answer, Control};

/// How many can listen at once.
const MOST: usize = 8;
/// The shortest and the longest that is listened to, in seconds.
const SECONDS: (f64, f64) = (0.2, 60.0);
/// How much longer is waited for sound that does not come, because the driver stands or was changed.
const PATIENCE: Duration = Duration::from_secs(2);

/// Somebody who listens.
pub(super) struct Listening {
    node: String,
    listener: Listener,
    analyzer: Analyzer,
    /// How many frames are wanted.
    wanted: u64,
    until: Instant,
    answer: Option<Answer>,
}

impl Control {
    /// Begins to listen to a node; answers when the time is over.
    pub(super) fn listen(&mut self, name: &str, seconds: f64, answer: Answer) {
        match self.begin_to_listen(name, seconds) {
            Ok(listening) => {
                self.listenings.push(Listening { answer: Some(answer), ..listening });
            }
            Err(error) => answer(Err(error)),
        }
    }

    fn begin_to_listen(&self, name: &str, seconds: f64) -> Result<Listening, Error> {
        let node = self.node(name)?;
        if !(SECONDS.0..=SECONDS.1).contains(&seconds) {
            let range = Range { min: SECONDS.0, max: SECONDS.1, unit: "s".into() };
            return Err(Error::out_of_range("the time to listen", seconds, range));
        }
        if self.listenings.len() >= MOST {
            return Err(
                Error::new(ErrorCode::Busy, format!("{MOST} listen already")).remedy("try again in a moment")
            );
        }
        let meter = self.controller.meter(node.id).ok_or_else(|| {
            Error::new(
                ErrorCode::InvalidArgument,
                format!("{name} is a {}, which has no meter to listen at", node.kind),
            )
            .expected("a track, bus, send, master or dynamics")
            .remedy("listen to what it is linked to")
        })?;
        let rate = self.controller.session().rate;
        let listener = Listener::new(meter, rate);
        let analyzer = Analyzer::new(listener.channels(), rate);
        Ok(Listening {
            node: name.to_owned(),
            listener,
            analyzer,
            wanted: (seconds * f64::from(rate.hz())).round() as u64,
            until: Instant::now() + Duration::from_secs_f64(seconds) + PATIENCE,
            answer: None,
        })
    }

    /// Hears what came meanwhile, and answers those whose time is over.
    pub(super) fn carry_on_listening(&mut self) {
        let mut listenings = std::mem::take(&mut self.listenings);
        listenings.retain_mut(|listening| {
            let wanted = listening.wanted.saturating_sub(listening.analyzer.frames()) as usize;
            let heard = listening.listener.take();
            if heard.first().is_some_and(|channel| channel.len() > wanted) {
                let heard: Vec<Vec<f32>> = heard.iter().map(|channel| channel[..wanted].to_vec()).collect();
                listening.analyzer.hear(&heard);
            } else {
                listening.analyzer.hear(heard);
            }
            // Another processor, or none, has taken the node's place.
            let now = self
                .controller
                .session()
                .node(&listening.node)
                .and_then(|node| self.controller.meter(node.id));
            let is_gone = now.is_none_or(|meter| !Arc::ptr_eq(&meter, listening.listener.meter()));
            let is_over =
                listening.analyzer.frames() >= listening.wanted || Instant::now() >= listening.until;
            if is_over || is_gone {
                listening.end();
            }
            !(is_over || is_gone)
        });
        self.listenings = listenings;
    }
}

impl Listening {
    fn end(&mut self) {
        let Some(answer) = self.answer.take() else { return };
        let channels = self.listener.channels();
        let fresh = Analyzer::new(channels, aulos_protocol::Rate::default());
        let analyzer = std::mem::replace(&mut self.analyzer, fresh);
        if analyzer.frames() == 0 {
            let message = format!("{} put out nothing meanwhile, not even silence", self.node);
            answer(Err(Error::new(ErrorCode::Unavailable, message)
                .expected("a driver that runs, and a node that stays")
                .remedy("see what the driver does with: aulosctl status")));
            return;
        }
        answer(Ok(Reply::Analysis(Box::new(analyzer.finish(self.listener.lost())))));
    }
}
