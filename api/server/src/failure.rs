//! From a failure to the status and body that a client gets; the only place that does so.

use crate::http::reply::{self, Reply};
use hyper::StatusCode;
use spec::{Class, Failure};

/// The status of a class.
pub(crate) fn status(class: Class) -> StatusCode {
    match class {
        Class::NotFound => StatusCode::NOT_FOUND,
        Class::InvalidArgument | Class::CommandNotFound | Class::CommandNotExecutable => {
            StatusCode::BAD_REQUEST
        }
        Class::Conflict => StatusCode::CONFLICT,
        Class::Unauthorized => StatusCode::UNAUTHORIZED,
        Class::Forbidden => StatusCode::FORBIDDEN,
        Class::NotModified => StatusCode::NOT_MODIFIED,
        Class::NotImplemented => StatusCode::NOT_IMPLEMENTED,
        Class::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Class::DeadlineExceeded | Class::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The reply that tells a client of a failure.
pub(crate) fn reply(failure: &Failure) -> Reply {
    match status(failure.class) {
        StatusCode::NOT_MODIFIED => reply::empty(StatusCode::NOT_MODIFIED),
        status => reply::error(status, &failure.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_the_status_that_docker_answers() {
        let table = [
            (Class::NotFound, 404),
            (Class::InvalidArgument, 400),
            (Class::Conflict, 409),
            (Class::Unauthorized, 401),
            (Class::Forbidden, 403),
            (Class::NotModified, 304),
            (Class::NotImplemented, 501),
            (Class::Unavailable, 503),
            (Class::CommandNotFound, 400),
            (Class::CommandNotExecutable, 400),
            (Class::DeadlineExceeded, 500),
            (Class::Internal, 500),
        ];
        for (class, expected) in table {
            assert_eq!(status(class).as_u16(), expected, "{class:?}");
        }
    }
}
