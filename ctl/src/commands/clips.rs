//! `clip add` and `clip rm`.

use aulos_protocol::{ClipId, Command};

use crate::{
    args::{ClipAdd, ClipSet},
    context::Context,
    failure::Failure,
    files,
    text::plain,
};

/// Puts a stretch of a file on a track.
///
/// # Errors
/// A path that cannot be said, or the server's refusal.
pub fn add(cx: &mut Context, args: ClipAdd) -> Result<(), Failure> {
    let file = files::audio_path(&args.file)?;
    let at = cx.frames(args.at)?;
    let offset = cx.frames(args.offset)?;
    let length = cx.frames_if(args.length)?;
    let track = args.track;
    let command = Command::AddClip { track: track.clone(), file: file.clone(), at, offset, length };
    cx.change(command, |applied, cx| {
        let numbers: Vec<_> = applied.clips.iter().map(ToString::to_string).collect();
        let at = cx.clock()?.both(at);
        Ok(format!("clip {} on {track} at {at}: {}", numbers.join(", "), plain(&file)))
    })
}

/// Takes a clip off its track.
///
/// # Errors
/// The server's refusal.
pub fn remove(cx: &mut Context, track: String, id: u64) -> Result<(), Failure> {
    let text = format!("removed clip {id} from {track}");
    cx.change(Command::RemoveClip { track, clip: ClipId(id) }, |_, _| Ok(text))
}

/// Moves a clip, or changes which part of its file it plays.
///
/// # Errors
/// A position that cannot be read, or the server's refusal.
pub fn set(cx: &mut Context, args: ClipSet) -> Result<(), Failure> {
    if args.at.is_none() && args.offset.is_none() && args.length.is_none() && !args.whole {
        return Err(Failure::usage("say what is to change: --at, --offset, --length or --whole".to_owned()));
    }
    let at = cx.frames_if(args.at)?;
    let offset = cx.frames_if(args.offset)?;
    let length = cx.frames_if(args.length)?;
    let text = format!("changed clip {} of {}", args.id, args.track);
    let command =
        Command::SetClip { track: args.track, clip: ClipId(args.id), at, offset, length, whole: args.whole };
    cx.change(command, |_, _| Ok(text))
}
