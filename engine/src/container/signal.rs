//! Signal names, as `docker kill` takes them: `KILL`, `SIGKILL`, `9`, `RTMIN+3`.

use spec::Failure;

/// SIGKILL.
pub const KILL: i32 = 9;
/// SIGTERM, with which a container is stopped that names no other.
pub const TERM: i32 = 15;

const NAMES: [(&str, i32); 36] = [
    ("ABRT", 6),
    ("ALRM", 14),
    ("BUS", 7),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("FPE", 8),
    ("HUP", 1),
    ("ILL", 4),
    ("INT", 2),
    ("IO", 29),
    ("IOT", 6),
    ("KILL", 9),
    ("PIPE", 13),
    ("POLL", 29),
    ("PROF", 27),
    ("PWR", 30),
    ("QUIT", 3),
    ("SEGV", 11),
    ("STKFLT", 16),
    ("STOP", 19),
    ("SYS", 31),
    ("TERM", 15),
    ("TRAP", 5),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("USR1", 10),
    ("USR2", 12),
    ("VTALRM", 26),
    ("WINCH", 28),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("RTMIN", 34),
    ("RTMAX", 64),
];

/// The refusal of a number that is no signal here; nothing for names and for what is a signal or no number.
pub fn unsupported(text: &str) -> Option<Failure> {
    let number = text.parse::<i32>().ok()?;
    (number != 0 && !(1..=64).contains(&number))
        .then(|| Failure::invalid(format!("The linux daemon does not support signal {number}")))
}

/// The number of a signal; fails for what is none.
pub fn parse(text: &str) -> Result<i32, Failure> {
    let wrong = || {
        let shown: String = text.chars().take(100).collect();
        Failure::invalid(format!("Invalid signal: {shown}"))
    };
    if let Ok(number) = text.parse::<i32>() {
        return if (1..=64).contains(&number) { Ok(number) } else { Err(wrong()) };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |text: &str, most: i32| {
        text.parse::<i32>().ok().filter(|offset| (1..=most).contains(offset))
    };
    if let Some(rest) = name.strip_prefix("RTMIN+") {
        return offset(rest, 15).map(|offset| 34 + offset).ok_or_else(wrong);
    }
    if let Some(rest) = name.strip_prefix("RTMAX-") {
        return offset(rest, 14).map(|offset| 64 - offset).ok_or_else(wrong);
    }
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beyond_the_signals_are_refused_in_words_of_their_own() {
        let text = "The linux daemon does not support signal 99";
        assert_eq!(unsupported("99").unwrap().message, text);
        assert!(["0", "9", "64", "KILL", "x"].iter().all(|text| unsupported(text).is_none()));
    }

    #[test]
    fn names_and_numbers_are_read_in_dockers_spellings() {
        for (text, number) in [
            ("KILL", 9),
            ("sigterm", 15),
            ("9", 9),
            ("SIGRTMIN", 34),
            ("RTMIN+3", 37),
            ("RTMAX-14", 50),
            ("64", 64),
        ] {
            assert_eq!(parse(text).unwrap(), number, "{text}");
        }
        for bad in ["", "0", "65", "-9", "SIGNOPE", "RTMIN+16", "RTMAX-0"] {
            assert_eq!(parse(bad).unwrap_err().message, format!("Invalid signal: {bad}"));
        }
    }
}
