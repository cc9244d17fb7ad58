//! The terminal while the meters have it. However the program ends, it is given back as it was.

use std::{
    io::{self, Stdout, Write, stdout},
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
};

use crossterm::{
    cursor::{Hide, MoveTo, Show},
    execute, queue,
    style::Print,
    terminal::{
        BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
        LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
    },
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::SIGHUP;

use crate::failure::Failure;

/// Whether the terminal is taken. Giving it back twice would put the cursor where it was before, over whatever
/// has been said since.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal, with a screen of its own, no cursor, and keys that come at once. Dropping it gives it back.
#[derive(Debug)]
pub struct Screen {
    out: Stdout,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn open() -> Result<Self, Failure> {
        give_back_on_panic();
        // Made first, so that it is given back when only half of what follows works.
        let mut screen = Self { out: stdout() };
        TAKEN.store(true, Ordering::SeqCst);
        enable_raw_mode().map_err(Failure::Output)?;
        execute!(screen.out, EnterAlternateScreen, Hide).map_err(Failure::Output)?;
        Ok(screen)
    }

    /// Columns and rows.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn size(&self) -> Result<(u16, u16), Failure> {
        size().map_err(Failure::Output)
    }

    /// Draws the lines over what was there; they must fit.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn draw(&mut self, lines: &[String]) -> Result<(), Failure> {
        self.try_draw(lines).map_err(Failure::Output)
    }

    fn try_draw(&mut self, lines: &[String]) -> io::Result<()> {
        // All of it at once: what is drawn bit by bit flickers.
        let mut frame = Vec::new();
        queue!(frame, BeginSynchronizedUpdate)?;
        for (row, line) in (0..).zip(lines) {
            queue!(frame, MoveTo(0, row), Print(line), Clear(ClearType::UntilNewLine))?;
        }
        if let Ok(below) = u16::try_from(lines.len()) {
            queue!(frame, MoveTo(0, below), Clear(ClearType::FromCursorDown))?;
        }
        queue!(frame, EndSynchronizedUpdate)?;
        self.out.write_all(&frame)?;
        self.out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Ends the program as SIGHUP does when the terminal is closed. That cannot be left to the loop that reads keys:
/// crossterm never comes back from reading a terminal that is gone, and the signal only comes to those whose
/// controlling terminal it was.
pub fn end_when_hung_up() {
    std::thread::spawn(|| {
        if is_hung_up(None) {
            std::process::exit(128 + SIGHUP);
        }
    });
}

/// Whether there is nobody at the other end of the terminal. Waits for that as long as it is told; without a
/// time, as long as it takes.
pub fn is_hung_up(wait: Option<&Timespec>) -> bool {
    let out = stdout();
    // Nothing is asked for but what is always told: that the other end is gone.
    let mut ends = [PollFd::new(&out, PollFlags::empty())];
    loop {
        match poll(&mut ends, wait) {
            Ok(_) if ends[0].revents().intersects(PollFlags::HUP | PollFlags::ERR) => return true,
            Ok(0) => return false,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// Gives the terminal back. If that fails the terminal is gone, and there is nobody to tell.
fn give_back() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let _ = execute!(stdout(), EndSynchronizedUpdate, Show, LeaveAlternateScreen);
    let _ = disable_raw_mode();
}

/// A panic tells its story before anything is dropped; on the meters' screen it would vanish with it.
fn give_back_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            tell(panic);
        }));
    });
}
