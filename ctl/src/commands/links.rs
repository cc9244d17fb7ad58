//! `link` and `unlink`.

use aulos_protocol::{Command, Decibels, Endpoint};

use crate::{
    args,
    context::Context,
    failure::Failure,
    text::count,
    values::{self, show_gain},
};

/// Links two ports or groups.
///
/// # Errors
/// An end or gain that cannot be read, or the server's refusal.
pub fn link(cx: &mut Context, args: &args::Link) -> Result<(), Failure> {
    let (from, to) = (endpoint(&args.from)?, endpoint(&args.to)?);
    let gain = args.gain.as_deref().map(gain).transpose()?;
    let names = format!("{from} → {to}");
    let at = gain.map(|gain| format!(" at {}", show_gain(gain))).unwrap_or_default();
    cx.change(Command::Link { from, to, gain }, |applied, _| {
        Ok(match applied.links {
            0 if gain.is_some() => format!("{names}{at}"),
            0 => format!("{names} is linked already"),
            links => format!("linked {names}{at} ({})", count(links, "link")),
        })
    })
}

/// Removes links.
///
/// # Errors
/// An end that cannot be read, or the server's refusal.
pub fn unlink(cx: &mut Context, args: &args::Unlink) -> Result<(), Failure> {
    let (from, to) = (endpoint(&args.from)?, endpoint(&args.to)?);
    let names = format!("{from} → {to}");
    cx.change(Command::Unlink { from, to }, |applied, _| {
        Ok(format!("unlinked {names} ({})", count(applied.links, "link")))
    })
}

pub(super) fn endpoint(text: &str) -> Result<Endpoint, Failure> {
    text.parse().map_err(Failure::usage)
}

fn gain(text: &str) -> Result<Decibels, Failure> {
    values::gain(text).map_err(Failure::Usage)
}
