//! Which driver is used where that was left open.

use std::{
    sync::{
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::sync_channel,
    },
    time::Duration,
};

use aulos_protocol::{Error, ErrorCode};

use super::{
    Kind, alsa,
    device::{Opened, Opening},
    jack,
};

/// What was chosen, and opened if it is a device.
pub struct Choice {
    /// The driver.
    pub kind: Kind,
    /// Why this one, where that was left open.
    pub reason: Option<String>,
    /// The device; none for the dummy driver.
    pub opened: Option<Opened>,
}

/// Opens what was asked for; of [`Kind::Auto`] a running JACK, else the sound device, else none.
///
/// # Errors
/// Why the one that was asked for cannot be opened. Where that was left open there is always one.
pub fn open(opening: &Opening) -> Result<Choice, Error> {
    let chosen = |kind, opened, reason| Choice { kind, reason, opened };
    match opening.setup.kind {
        Kind::Jack => Ok(chosen(Kind::Jack, Some(jack::open(opening)?), None)),
        Kind::Alsa => Ok(chosen(Kind::Alsa, Some(alsa::open(opening)?), None)),
        Kind::Auto if opening.setup.file.is_some() || opening.setup.frames.is_some() => {
            let reason =
                "auto: what is played is captured or ends after a number of frames, which devices cannot do";
            Ok(chosen(Kind::Dummy, None, Some(reason.into())))
        }
        Kind::Auto => {
            let no_jack = match jack_answers(opening.setup.patience).and_then(|()| jack::open(opening)) {
                Ok(opened) => {
                    return Ok(chosen(Kind::Jack, Some(opened), Some("auto: a JACK server runs".into())));
                }
                Err(error) => error,
            };
            let no_device = match alsa::open(opening) {
                Ok(opened) => {
                    let reason = format!("auto: no JACK ({no_jack})");
                    return Ok(chosen(Kind::Alsa, Some(opened), Some(reason)));
                }
                Err(error) => error,
            };
            let reason = format!("auto: no JACK ({no_jack}), no sound device ({no_device})");
            Ok(chosen(Kind::Dummy, None, Some(reason)))
        }
        kind => Ok(chosen(kind, None, None)),
    }
}

/// Whether a JACK server runs and answers: one that hangs must not keep the others from being tried.
fn jack_answers(patience: Duration) -> Result<(), Error> {
    const LEAST: Duration = Duration::from_secs(3);
    static HANGS: AtomicBool = AtomicBool::new(false);
    let silent = || Error::new(ErrorCode::Unavailable, "the JACK server does not answer");
    if HANGS.swap(true, Relaxed) {
        return Err(silent());
    }
    let (tell, told) = sync_channel(1);
    let asks = std::thread::Builder::new().name("aulos-jack".into()).spawn(move || {
        let answer = jack::look();
        HANGS.store(false, Relaxed);
        // Nobody may wait for it any more.
        let _ = tell.send(answer);
    });
    if let Err(error) = asks {
        HANGS.store(false, Relaxed);
        return Err(Error::io("start a thread", &error));
    }
    told.recv_timeout(patience.max(LEAST)).unwrap_or_else(|_| Err(silent())).map(|_| ())
}
