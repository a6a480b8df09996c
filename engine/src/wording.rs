//! Failures of the runtime in Docker's words, which scripts and clients look for.
//!
//! The runtime says what went wrong; who asked decides the sentence around it. Classes stay as they are.

use spec::{Class, Failure};

/// What stands before the cause when a container could not be started.
const START: &str = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process";
/// The same of an exec.
const EXEC: &str = "OCI runtime exec failed: exec failed: unable to start container process";

/// What dockerd adds where something is not a directory.
const FILE_AND_DIRECTORY: &str = ": Are you trying to mount a directory onto a file (or vice-versa)? Check if the \
     specified host path exists and is the expected type";

/// What the task worker said of a container that could not be started.
pub(crate) fn start(failure: Failure) -> Failure {
    let cause = match failure.class {
        Class::CommandNotFound | Class::CommandNotExecutable => program(&failure),
        Class::InvalidArgument | Class::Internal => {
            // Clients take these words for a program that cannot be executed.
            let text = failure.message.replace("is a directory", "not a directory");
            format!("error during container init: {text}")
        }
        // Of the policy, of a worker that does not answer: no words of a runtime.
        _ => return failure,
    };
    Failure::new(failure.class, format!("{START}: {cause}: unknown"))
}

/// What the task worker said of an exec that could not be started.
pub(crate) fn exec(failure: Failure) -> Failure {
    let cause = match failure.class {
        Class::CommandNotFound | Class::CommandNotExecutable => program(&failure),
        Class::InvalidArgument | Class::Internal => failure.message,
        _ => return failure,
    };
    // dockerd explains these words wherever they appear.
    let hint = if cause.ends_with("not a directory") { FILE_AND_DIRECTORY } else { "" };
    Failure::new(failure.class, format!("{EXEC}: {cause}: unknown{hint}"))
}

/// A working directory of an exec that is not absolute: runc finds that before it starts anything.
pub(crate) fn relative_directory() -> Failure {
    Failure::invalid("OCI runtime exec failed: exec failed: Cwd must be an absolute path: unknown")
}

/// The cause with the words by which clients tell that the program may not be executed.
fn program(failure: &Failure) -> String {
    let text = &failure.message;
    let told = text.contains("permission denied") || text.contains("is a directory");
    if failure.class == Class::CommandNotExecutable && !told {
        return format!("{text}: permission denied");
    }
    text.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_cannot_be_started_is_told_in_dockers_sentence() {
        let text = "exec: \"x\": executable file not found in $PATH";
        let failure = Failure::new(Class::CommandNotFound, text);
        assert_eq!(start(failure.clone()).message, format!("{START}: {text}: unknown"));
        assert_eq!(exec(failure.clone()).message, format!("{EXEC}: {text}: unknown"));
        assert_eq!(exec(failure).class, Class::CommandNotFound);
        let format = Failure::new(Class::CommandNotExecutable, "exec /x: exec format error");
        assert!(start(format).message.ends_with("exec format error: permission denied: unknown"));
    }

    #[test]
    fn an_exec_below_a_file_is_explained() {
        let failure =
            Failure::new(Class::CommandNotFound, "chdir to cwd (\"/f\"): not a directory");
        let message = exec(failure).message;
        assert!(
            message.ends_with(
                "not a directory: unknown: Are you trying to mount a directory onto a file (or \
            vice-versa)? Check if the specified host path exists and is the expected type"
            ),
            "{message}"
        );
    }

    #[test]
    fn a_mount_that_fails_is_not_taken_for_a_program() {
        let failure = Failure::invalid("mount \"/tmp\": is a directory");
        let text = "error during container init: mount \"/tmp\": not a directory";
        assert_eq!(start(failure).message, format!("{START}: {text}: unknown"));
    }

    #[test]
    fn what_the_policy_forbids_keeps_its_words() {
        let failure = Failure::new(Class::Forbidden, "the policy forbids it");
        assert_eq!(start(failure.clone()), failure);
        assert_eq!(exec(failure.clone()), failure);
    }
}
