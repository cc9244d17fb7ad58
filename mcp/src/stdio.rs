//! Standard input and output: no more is read than is answered.

use std::sync::Arc;

use rmcp::{
    RoleServer,
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use tokio::sync::Semaphore;

/// How many messages may wait for a client that does not read before nothing more is read from it.
const MOST_WAITING: usize = 64;

/// A transport that reads nothing while too much waits to be written.
pub struct Patient<T> {
    inner: T,
    room: Arc<Semaphore>,
}

impl<T> Patient<T> {
    /// Nothing waits.
    pub fn new(inner: T) -> Self {
        Self { inner, room: Arc::new(Semaphore::new(MOST_WAITING)) }
    }
}

impl<T: Transport<RoleServer>> Transport<RoleServer> for Patient<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        // What was asked before the room was full is answered all the same.
        let room = self.room.clone().try_acquire_owned();
        let sent = self.inner.send(message);
        async move {
            let _room = room;
            sent.await
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        // What was read before comes first: a flood is not faster than its answers.
        tokio::task::yield_now().await;
        // Given back at once; the semaphore is never closed.
        drop(self.room.acquire().await);
        self.inner.receive().await
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.inner.close().await
    }
}
