//! Who is busy with a volume: a create that will use it, or its removal; never both.
//!
//! A container is found among a volume's users only when it is in the registry. Until then its create holds a [`Claim`],
//! and a removal that finds one is refused as if the container were there already. A create that finds a removal waits
//! for it, and makes the volume anew.

use spec::{Class, Failure, VolumeName};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

#[derive(Debug, Default)]
struct State {
    claimed: HashMap<VolumeName, usize>,
    removed: HashSet<VolumeName>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Told of each removal that is over.
    over: Notify,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All claims and removals under way.
#[derive(Debug, Default)]
pub(crate) struct Claims(Arc<Shared>);

/// Volumes that cannot be removed while this exists.
#[derive(Debug)]
pub(crate) struct Claim {
    shared: Arc<Shared>,
    names: Vec<VolumeName>,
}

/// A volume that is being removed; nobody can claim it while this exists.
#[derive(Debug)]
pub(crate) struct Removal {
    shared: Arc<Shared>,
    name: VolumeName,
}

impl Claims {
    /// Claims volumes, whether they exist or not; waits for those that are being removed.
    pub(crate) async fn claim(&self, names: Vec<VolumeName>) -> Claim {
        loop {
            let over = self.0.over.notified();
            tokio::pin!(over);
            // From here on no end of a removal is missed.
            over.as_mut().enable();
            if self.try_claim(&names) {
                return Claim { shared: Arc::clone(&self.0), names };
            }
            over.await;
        }
    }

    fn try_claim(&self, names: &[VolumeName]) -> bool {
        let mut state = self.0.lock();
        if names.iter().any(|name| state.removed.contains(name)) {
            return false;
        }
        for name in names {
            *state.claimed.entry(name.clone()).or_default() += 1;
        }
        true
    }

    /// Begins to remove a volume. What uses it must be looked for after this.
    pub(crate) fn remove(&self, name: &VolumeName) -> Result<Removal, Failure> {
        let mut state = self.0.lock();
        let why = if state.claimed.contains_key(name) {
            "volume is in use"
        } else if !state.removed.insert(name.clone()) {
            "removal is in progress"
        } else {
            return Ok(Removal { shared: Arc::clone(&self.0), name: name.clone() });
        };
        Err(Failure::new(Class::Conflict, format!("remove {name}: {why}")))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        for name in &self.names {
            if let Some(count) = state.claimed.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    state.claimed.remove(name);
                }
            }
        }
    }
}

impl Drop for Removal {
    fn drop(&mut self) {
        self.shared.lock().removed.remove(&self.name);
        self.shared.over.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> VolumeName {
        VolumeName::parse(text).unwrap()
    }

    #[tokio::test]
    async fn a_claimed_volume_is_not_removed_until_the_last_claim_is_over() {
        let claims = Claims::default();
        let (one, two) =
            (claims.claim(vec![name("data")]).await, claims.claim(vec![name("data")]).await);
        drop(one);
        let refused = claims.remove(&name("data")).unwrap_err();
        assert_eq!(
            (refused.class, refused.message.as_str()),
            (Class::Conflict, "remove data: volume is in use")
        );
        claims.remove(&name("other")).unwrap();
        drop(two);
        claims.remove(&name("data")).unwrap();
    }

    #[tokio::test]
    async fn a_claim_waits_for_a_removal() {
        let claims = Arc::new(Claims::default());
        let removal = claims.remove(&name("data")).unwrap();
        claims.remove(&name("data")).unwrap_err();
        let waiter = Arc::clone(&claims);
        let claim = tokio::spawn(async move { waiter.claim(vec![name("x1"), name("data")]).await });
        tokio::task::yield_now().await;
        assert!(!claim.is_finished());
        drop(removal);
        let claim = claim.await.unwrap();
        claims.remove(&name("x1")).unwrap_err();
        drop(claim);
        claims.remove(&name("x1")).unwrap();
    }
}
