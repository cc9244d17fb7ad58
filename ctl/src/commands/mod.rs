//! The commands of the command line, one file for each kind.

mod analyze;
mod batch;
mod clips;
mod config;
mod desk;
mod driver;
mod folders;
mod groups;
mod latency;
mod links;
mod list;
mod nodes;
mod operations;
mod params;
mod raw;
mod render;
mod sessions;
mod show;
mod status;
mod texts;
mod transport;
mod watch;

pub use list::clock;

use aulos_protocol::{Command, NodeKind};

use crate::{
    args::{BusVerb, ClickVerb, ClipVerb, GroupVerb, NodeVerb, SendVerb, TrackVerb, VcaVerb, Verb},
    context::Context,
    failure::Failure,
    meters,
};

/// Does what was asked.
///
/// # Errors
/// Whatever kept it from being done.
pub fn run(cx: &mut Context, verb: Verb) -> Result<(), Failure> {
    // Its own `--at` is a place on the timeline.
    let is_theirs = matches!(verb, Verb::Clip(ClipVerb::Add(_) | ClipVerb::Set(_)));
    cx.check_at(can_be_timed(&verb), is_theirs)?;
    match verb {
        Verb::Status => status::run(cx),
        Verb::Ls(args) => list::run(cx, &args),
        Verb::Link(args) => links::link(cx, &args),
        Verb::Unlink(args) => links::unlink(cx, &args),
        Verb::Node(verb) => nodes::node(cx, verb),
        Verb::Track(verb) => nodes::strip(cx, NodeKind::Track, verb.into()),
        Verb::Bus(verb) => nodes::strip(cx, NodeKind::Bus, verb.into()),
        Verb::Send(verb) => nodes::send(cx, verb),
        Verb::Rename(args) => desk::rename(cx, args),
        Verb::Duplicate(args) => desk::duplicate(cx, args),
        Verb::Reorder(args) => desk::reorder(cx, args),
        Verb::Mute(args) => desk::mute(cx, args),
        Verb::Solo(args) => desk::solo(cx, args),
        Verb::Clip(ClipVerb::Add(args)) => clips::add(cx, args),
        Verb::Clip(ClipVerb::Rm { track, id }) => clips::remove(cx, track, id),
        Verb::Clip(ClipVerb::Set(args)) => clips::set(cx, args),
        Verb::Vca(verb) => groups::vca(cx, verb),
        Verb::Group(verb) => groups::group(cx, verb),
        Verb::Click(verb) => groups::click(cx, verb),
        Verb::Get(args) => params::get(cx, args),
        Verb::Set(args) => params::set(cx, args),
        Verb::Play => cx.change(Command::Play, |_, _| Ok("playing".into())),
        Verb::Pause => cx.change(Command::Pause, |_, _| Ok("paused".into())),
        Verb::Stop => cx.change(Command::Stop, |_, _| Ok("stopped".into())),
        Verb::Locate(args) => transport::locate(cx, args.position),
        Verb::Forget => cx.change(Command::ClearSchedule, |_, _| Ok("nothing is to come any more".into())),
        Verb::Loop(args) => transport::set_loop(cx, &args),
        Verb::Tempo(args) => transport::tempo(cx, &args),
        Verb::Latency => latency::run(cx),
        Verb::Meters(args) => meters::run(cx, &args),
        Verb::Analyze(args) => analyze::run(cx, args),
        Verb::Undo => sessions::undo(cx),
        Verb::Redo => sessions::redo(cx),
        Verb::Session(verb) => sessions::run(cx, verb),
        Verb::Render(args) => render::run(cx, &args),
        Verb::Driver(verb) => driver::run(cx, verb),
        Verb::Config(verb) => config::run(cx, &verb),
        Verb::Doctor(args) => crate::doctor::run(cx, &args),
        Verb::Completions(args) => texts::completions(cx, &args.shell),
        Verb::Man(args) => texts::man(cx, args.folder.as_deref()),
        Verb::Operation(verb) => operations::run(cx, &verb),
        Verb::Batch(args) => batch::run(cx, &args.file),
        Verb::Raw(args) => raw::run(cx, &args),
        Verb::Schema => texts::schema(cx),
        Verb::Step(args) => transport::step(cx, &args.blocks),
        Verb::Watch(args) => watch::run(cx, &args),
        Verb::Shutdown { discard } => sessions::shutdown(cx, discard),
    }
}

/// Whether the server may be asked to do it at a frame; it has the last word.
fn can_be_timed(verb: &Verb) -> bool {
    match verb {
        Verb::Set(_) | Verb::Link(_) | Verb::Batch(_) => true,
        Verb::Play | Verb::Pause | Verb::Stop | Verb::Locate(_) => true,
        Verb::Loop(args) => args.start.is_some(),
        Verb::Mute(args) => !args.nodes.is_empty(),
        Verb::Solo(args) => !args.nodes.is_empty() || args.clear,
        Verb::Node(verb) => matches!(verb, NodeVerb::Set(_)),
        Verb::Track(verb) => matches!(verb, TrackVerb::Set(_)),
        Verb::Bus(verb) => matches!(verb, BusVerb::Set(_)),
        Verb::Send(verb) => matches!(verb, SendVerb::Set(_)),
        Verb::Vca(verb) => matches!(verb, VcaVerb::Set(_)),
        Verb::Group(verb) => matches!(verb, GroupVerb::Set(_)),
        Verb::Click(verb) => matches!(verb, ClickVerb::Set(_)),
        Verb::Raw(args) => args.method != "-",
        _ => false,
    }
}
