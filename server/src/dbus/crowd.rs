//! How much of what is called is answered at once, so that no client takes all of it, and memory is bounded.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aulos_protocol::{Error, ErrorCode, wire};
use zbus::message::Message;

use super::failure::Failure;

/// How many calls are answered at once, and how many of one client.
const MOST: usize = 256;
const MOST_OF_ONE: usize = 64;
/// How many bytes of arguments they have.
const MOST_BYTES: usize = 4 * wire::MAX_LINE;

/// The calls that are being answered.
#[derive(Default)]
pub struct Crowd(Mutex<Open>);

#[derive(Default)]
struct Open {
    of_clients: HashMap<String, usize>,
    calls: usize,
    bytes: usize,
}

/// A place among them, which is free again when this goes.
pub struct Place {
    crowd: Arc<Crowd>,
    client: String,
    bytes: usize,
}

impl Crowd {
    fn locked(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a call its place.
    ///
    /// # Errors
    /// If its arguments are too large, or too much is being answered.
    pub fn admit(self: &Arc<Self>, call: &Message) -> Result<Place, Failure> {
        let client = call.header().sender().map(ToString::to_string).unwrap_or_default();
        self.place(client, call.body().len())
    }

    fn place(self: &Arc<Self>, client: String, bytes: usize) -> Result<Place, Failure> {
        if bytes > wire::MAX_LINE {
            let text = format!("the arguments have {bytes} bytes; at most {} are taken", wire::MAX_LINE);
            return Err(Failure::standard("LimitsExceeded", text));
        }
        let mut open = self.locked();
        let own = open.of_clients.get(&client).copied().unwrap_or(0);
        if own >= MOST_OF_ONE || open.calls >= MOST || open.bytes + bytes > MOST_BYTES {
            return Err(Error::new(ErrorCode::Busy, "too many calls are being answered")
                .expected(format!(
                    "at most {MOST_OF_ONE} of one client, {MOST} in all, and {MOST_BYTES} bytes of arguments"
                ))
                .remedy("wait for answers before calling again")
                .into());
        }
        open.of_clients.insert(client.clone(), own + 1);
        open.calls += 1;
        open.bytes += bytes;
        Ok(Place { crowd: self.clone(), client, bytes })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.crowd.locked();
        open.calls -= 1;
        open.bytes -= self.bytes;
        if let Some(own) = open.of_clients.get_mut(&self.client) {
            *own -= 1;
            if *own == 0 {
                open.of_clients.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_so_many_calls_and_bytes_and_again_when_some_are_answered() {
        let crowd = Arc::new(Crowd::default());
        let place = |client: &str, bytes| crowd.place(client.into(), bytes);
        let mut all: Vec<_> = (0..MOST_OF_ONE).map(|_| place("one", 1).unwrap()).collect();
        assert_eq!(place("one", 1).err().unwrap().name, "org.aulos.Error.Busy");
        for client in ["two", "three", "four"] {
            all.extend((0..MOST_OF_ONE).map(|_| place(client, 1).unwrap()));
        }
        assert!(place("five", 1).is_err());
        all.truncate(1);
        assert_eq!(crowd.locked().of_clients.len(), 1);
        for _ in 0..3 {
            all.push(place("two", wire::MAX_LINE).unwrap());
        }
        assert_eq!(place("three", wire::MAX_LINE).err().unwrap().name, "org.aulos.Error.Busy");
        place("three", wire::MAX_LINE - 1).unwrap();
        let failure = place("three", wire::MAX_LINE + 1).err().unwrap();
        assert_eq!(failure.name, "org.freedesktop.DBus.Error.LimitsExceeded");
        all.clear();
        let open = crowd.locked();
        assert_eq!((open.of_clients.len(), open.calls, open.bytes), (0, 0, 0));
    }
}
