//! Resources that clients want to be told of, in both eras of the protocol.

use std::{
    collections::BTreeSet,
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

use rmcp::{
    ErrorData, RoleServer,
    model::ResourceUpdatedNotificationParam,
    service::{Peer, SubscriptionContext},
};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::{follow::Touched, resources, surface::Surface};

/// How many resources a client may subscribe to.
pub const MOST_SUBSCRIBED: usize = 256;
/// How many requests may listen at once, over all clients.
pub const MOST_LISTENING: usize = 64;
/// Changes of resources are told together, so often at most.
const TOLD_EVERY: Duration = Duration::from_millis(100);

/// What a client of the older protocol subscribes to.
#[derive(Debug, Default)]
pub struct Subscribed {
    uris: BTreeSet<String>,
    /// Whether somebody sees to it that it is told.
    is_told: bool,
}

/// What a client that subscribes is to be told of.
fn of_interest(touched: &Touched, uri: &str) -> bool {
    *touched == Touched::All || resources::uri(touched).is_some_and(|changed| changed == uri)
}

/// Waits for changes of resources that `wanted` names, and answers with them; with those that were missed, too.
async fn changed(
    touched: &mut Receiver<Touched>,
    wanted: impl Fn() -> BTreeSet<String>,
) -> Option<BTreeSet<String>> {
    let mut uris = BTreeSet::new();
    let mut note = |what: Result<Touched, RecvError>| {
        let what = match what {
            Ok(what) => what,
            Err(RecvError::Lagged(_)) => Touched::All,
            Err(RecvError::Closed) => return false,
        };
        uris.extend(wanted().into_iter().filter(|uri| of_interest(&what, uri)));
        true
    };
    if !note(touched.recv().await) {
        return None;
    }
    // What comes in a moment is told together.
    let over = tokio::time::sleep(TOLD_EVERY);
    tokio::pin!(over);
    loop {
        tokio::select! {
            () = &mut over => return Some(uris),
            what = touched.recv() => if !note(what) { return Some(uris) },
        }
    }
}

impl Surface {
    fn wanted(&self) -> MutexGuard<'_, Subscribed> {
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a client of the older protocol told of a resource from now on.
    ///
    /// # Errors
    /// If it subscribes to too many.
    pub(crate) fn begin_to_tell(&self, uri: String, peer: Peer<RoleServer>) -> Result<(), ErrorData> {
        let mut subscribed = self.wanted();
        if subscribed.uris.len() >= MOST_SUBSCRIBED {
            let message = format!("{MOST_SUBSCRIBED} resources are subscribed to already");
            return Err(ErrorData::invalid_request(message, None));
        }
        subscribed.uris.insert(uri);
        if !std::mem::replace(&mut subscribed.is_told, true) {
            // From before the answer on.
            let touched = self.shared.door.follower.listen();
            tokio::spawn(self.clone().tell_subscribed(peer, touched));
        }
        Ok(())
    }

    /// Ends a subscription of the older protocol.
    pub(crate) fn tell_no_more(&self, uri: &str) {
        self.wanted().uris.remove(uri);
    }

    /// Tells a client of the older protocol what it subscribes to, until it is gone or wants nothing more.
    async fn tell_subscribed(self, peer: Peer<RoleServer>, mut touched: Receiver<Touched>) {
        while !peer.is_transport_closed() {
            let uris = tokio::select! {
                uris = changed(&mut touched, || self.wanted().uris.clone()) => uris,
                () = tokio::time::sleep(Duration::from_secs(5)) => Some(BTreeSet::new()),
            };
            let Some(uris) = uris else { return };
            for uri in uris {
                if peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri)).await.is_err() {
                    return;
                }
            }
            let mut subscribed = self.wanted();
            if subscribed.uris.is_empty() {
                subscribed.is_told = false;
                return;
            }
        }
    }

    /// Tells a client of the newer protocol what its request listens to, until it is cancelled.
    ///
    /// # Errors
    /// If too many listen.
    pub(crate) async fn tell_listening(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let mut touched = self.shared.door.follower.listen();
        let Ok(_room) = self.shared.listeners.try_acquire() else {
            tracing::warn!("a subscription is refused: {MOST_LISTENING} listen already");
            let message = format!("{MOST_LISTENING} requests listen already");
            return Err(ErrorData::invalid_request(message, None));
        };
        let wanted: BTreeSet<String> =
            context.accepted().resource_subscriptions.iter().flatten().cloned().collect();
        loop {
            let uris = tokio::select! {
                () = context.cancelled() => return Ok(()),
                uris = changed(&mut touched, || wanted.clone()) => uris,
            };
            let Some(uris) = uris else { return Ok(()) };
            for uri in uris {
                if context.sink().notify_resource_updated(uri).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}
