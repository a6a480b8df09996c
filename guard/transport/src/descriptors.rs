//! The descriptors that arrived with a message, taken by position, each at most once.

use messages::Fd;
use spec::Failure;
use std::os::fd::OwnedFd;

/// What arrived with a message. Whatever is not taken is closed with it.
#[derive(Debug, Default)]
pub struct Descriptors(Vec<Option<OwnedFd>>);

impl Descriptors {
    /// Takes over what arrived.
    pub fn new(descriptors: Vec<OwnedFd>) -> Self {
        Self(descriptors.into_iter().map(Some).collect())
    }

    /// Takes the descriptor at this position; fails when none arrived there, or when it was taken already.
    pub fn take(&mut self, fd: Fd) -> Result<OwnedFd, Failure> {
        self.0
            .get_mut(usize::from(fd.0))
            .and_then(Option::take)
            .ok_or_else(|| Failure::invalid(format!("message has no descriptor {}", fd.0)))
    }

    /// How many arrived.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none arrived.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_can_be_taken_once_and_only_where_one_arrived() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut descriptors = Descriptors::new(vec![one.into()]);
        assert!(descriptors.take(Fd(1)).is_err());
        assert!(descriptors.take(Fd(0)).is_ok());
        assert_eq!(descriptors.take(Fd(0)).unwrap_err().message, "message has no descriptor 0");
    }
}
