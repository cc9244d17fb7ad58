//! The arguments of what is done at a desk: naming, copying and ordering strips, muting and soloing them.

use aulos_protocol::Place;
use clap::Args;

/// Arguments of `rename`.
#[derive(Debug, Args)]
pub struct Rename {
    /// The node.
    pub node: String,
    /// Its new name: a-z, 0-9, _ and -.
    pub new: String,
}

/// Arguments of `duplicate`.
#[derive(Debug, Args)]
pub struct Duplicate {
    /// The node.
    pub node: String,
    /// The name of the copy [default: the node's with a number].
    pub new: Option<String>,
}

/// Arguments of `reorder`.
#[derive(Debug, Args)]
pub struct Reorder {
    /// The node.
    pub node: String,
    /// Where it goes.
    #[command(flatten)]
    pub to: To,
}

/// Where a node goes in the list.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct To {
    /// Before this node.
    #[arg(long, value_name = "NODE")]
    before: Option<String>,
    /// Behind this node.
    #[arg(long, value_name = "NODE")]
    after: Option<String>,
    /// Before all others.
    #[arg(long)]
    first: bool,
    /// Behind all others.
    #[arg(long)]
    last: bool,
}

impl From<To> for Place {
    fn from(to: To) -> Self {
        match to {
            To { before: Some(node), .. } => Self::Before(node),
            To { after: Some(node), .. } => Self::After(node),
            To { first: true, .. } => Self::First,
            // One of the four is given.
            To { .. } => Self::Last,
        }
    }
}

/// Arguments of `mute`.
#[derive(Debug, Args)]
pub struct Mute {
    /// The nodes; without any, what is muted is listed.
    #[arg(value_name = "NODE")]
    pub nodes: Vec<String>,
    /// Take the mute off.
    #[arg(long, requires = "nodes")]
    pub off: bool,
}

/// Arguments of `solo`.
#[derive(Debug, Args)]
pub struct Solo {
    /// The nodes; without any, what is soloed is listed.
    #[arg(value_name = "NODE")]
    pub nodes: Vec<String>,
    /// Take the solo off.
    #[arg(long, requires = "nodes")]
    pub off: bool,
    /// Take the solo off every node.
    #[arg(long, conflicts_with_all = ["nodes", "off"])]
    pub clear: bool,
}
