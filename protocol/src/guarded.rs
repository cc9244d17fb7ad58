//! What only who holds the machine may ask for, where a surface is open to others.

use crate::Command;

impl Command {
    /// Why it is not for everybody who may mix: it names files, or is about the machine or the server itself. None for
    /// what any client may do. Surfaces that are open to other machines refuse the rest unless they are told to trust.
    pub fn guarded(&self) -> Option<&'static str> {
        const FILE: &str = "it names a file or a folder";
        const SESSION: &str = "it closes the session that is open";
        const DEVICE: &str = "it is about the machine's devices";
        const CLOCK: &str = "it moves the server's clock";
        const END: &str = "it ends the server";
        match self {
            Self::AddClip { .. } | Self::Render(_) | Self::SaveSession { path: Some(_) } => Some(FILE),
            Self::NewSession { .. } | Self::OpenSession { .. } => Some(SESSION),
            Self::SetDriver { .. } => Some(DEVICE),
            Self::Step { .. } => Some(CLOCK),
            Self::Shutdown { .. } => Some(END),
            Self::Batch { commands } => commands.iter().find_map(Self::guarded),
            Self::AddNode(_)
            | Self::RemoveNode { .. }
            | Self::RenameNode { .. }
            | Self::DuplicateNode { .. }
            | Self::MoveNode { .. }
            | Self::SetParam { .. }
            | Self::SetSession { .. }
            | Self::Link { .. }
            | Self::Unlink { .. }
            | Self::RemoveClip { .. }
            | Self::SetClip { .. }
            | Self::AddMembers { .. }
            | Self::RemoveMembers { .. }
            | Self::Undo
            | Self::Redo
            | Self::Play
            | Self::Pause
            | Self::Stop
            | Self::Locate { .. }
            | Self::Loop { .. }
            | Self::ClearSchedule
            | Self::SaveSession { path: None }
            | Self::CancelOperation { .. }
            | Self::ResetLoudness { .. } => None,
        }
    }
}
