//! What the control thread reads from meters.

use std::sync::Arc;

use aulos_nodes::{Level, Meter};
use aulos_protocol::{Error, ErrorCode, Loudness, MeterReading, Node, NodeId};

use super::Controller;

impl Controller {
    /// What every meter shows, in the order in which the nodes are listed; peaks and reductions are those since they
    /// were taken last.
    pub fn meters(&self) -> Vec<MeterReading> {
        let mut meters: Vec<_> = self.metered().collect();
        meters.sort_by(|(a, _), (b, _)| a.place().total_cmp(&b.place()));
        meters.into_iter().map(|(node, meter)| reading(node, meter)).collect()
    }

    /// Lets integrated loudness, range and true peak of a master, or of all, begin anew with the next block.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] for a node that does not exist, [`ErrorCode::InvalidArgument`] for one whose loudness
    /// is not measured.
    pub fn reset_loudness(&self, node: Option<&str>) -> Result<(), Error> {
        if let Some(name) = node
            && self.session.node(name).is_none()
        {
            let names = self.session.nodes.values().map(|node| node.slug.as_str());
            return Err(Error::not_found("node", name, names));
        }
        let meant = self.metered().filter(|(known, _)| node.is_none_or(|name| known.slug.as_str() == name));
        let measured = meant.filter(|(_, meter)| meter.reset_loudness()).count();
        match node {
            Some(name) if measured == 0 => {
                Err(Error::new(ErrorCode::InvalidArgument, format!("the loudness of {name} is not measured"))
                    .expected("a master"))
            }
            _ => Ok(()),
        }
    }

    /// The meter of a node, if it has one.
    pub fn meter(&self, node: NodeId) -> Option<Arc<Meter>> {
        self.rack.meters().find(|(known, _)| known.id == node).map(|(_, meter)| meter.clone())
    }

    /// The meters with the nodes as they are now.
    fn metered(&self) -> impl Iterator<Item = (&Arc<Node>, &Arc<Meter>)> {
        let nodes = &self.session.nodes;
        self.rack.meters().map(|(node, meter)| (nodes.get(&node.id).unwrap_or(node), meter))
    }
}

fn reading(node: &Node, meter: &Meter) -> MeterReading {
    let levels = meter.take();
    let of = |value: fn(&Level) -> f32| levels.iter().map(value).collect();
    let single = |value: Option<f64>| value.map(|value| value as f32);
    MeterReading {
        node: node.slug.to_string(),
        peaks: of(|level| level.peak),
        rms: of(|level| level.rms),
        hold: of(|level| level.hold),
        reduction: meter.take_reduction(),
        loudness: meter.loudness().map(|loudness| Loudness {
            momentary: single(loudness.momentary),
            short_term: single(loudness.short_term),
            integrated: single(loudness.integrated),
            range: single(loudness.range),
            true_peak: loudness.true_peak,
        }),
    }
}
