//! State that outlives plans and that only the audio thread touches.
#![allow(unsafe_code)]

use std::{
    cell::UnsafeCell,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// The right to touch the slots of one engine. There is one for each engine; whoever runs a cycle holds it.
#[derive(Debug)]
pub struct Token {
    id: u64,
}

/// Names the token that slots are made for; may be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenId(u64);

impl Default for Token {
    /// A token unlike all others.
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self { id: NEXT.fetch_add(1, Relaxed) }
    }
}

impl Token {
    /// The name of this token.
    pub fn id(&self) -> TokenId {
        TokenId(self.id)
    }
}

/// A value that plans share and only the holder of the engine's [`Token`] can reach.
#[derive(Debug)]
pub struct Slot<T: ?Sized> {
    owner: u64,
    value: UnsafeCell<T>,
}

// SAFETY: a shared slot gives access to its value only through `get`, which takes the one token that it was
// made for by `&mut`; so there is never more than one reference to the value, on whatever thread the token is.
unsafe impl<T: ?Sized + Send> Sync for Slot<T> {}

impl<T> Slot<T> {
    /// A slot that the token named `owner` opens.
    pub fn new(owner: TokenId, value: T) -> Self {
        Self { owner: owner.0, value: UnsafeCell::new(value) }
    }

    /// [audio thread] The value.
    ///
    /// # Panics
    /// If the token is another engine's: a defect of the engine.
    pub fn get<'a>(&'a self, token: &'a mut Token) -> &'a mut T {
        assert_eq!(self.owner, token.id, "a slot of another engine");
        // SAFETY: tokens cannot be copied and have unique ids, so this is the only token that passes the check
        // above; it is borrowed mutably for as long as the reference lives, so no second one can be made.
        unsafe { &mut *self.value.get() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_token_opens_a_slot() {
        let mut token = Token::default();
        let slot = Slot::new(token.id(), 1);
        *slot.get(&mut token) += 1;
        assert_eq!(*slot.get(&mut token), 2);
    }

    #[test]
    #[should_panic = "another engine"]
    fn another_token_does_not() {
        let slot = Slot::new(Token::default().id(), 1);
        slot.get(&mut Token::default());
    }
}
