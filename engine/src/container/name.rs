//! Container names: what is one, and a fresh one for a container that was given none.

use spec::Failure;

/// Words for the first half of a fresh name.
const ADJECTIVES: [&str; 64] = [
    "agile", "amber", "ample", "arctic", "azure", "balmy", "bold", "brave", "breezy", "bright",
    "brisk", "calm", "candid", "cheery", "civil", "clear", "clever", "copper", "cosmic", "crisp",
    "dapper", "daring", "deft", "dewy", "eager", "early", "easy", "fair", "fluent", "frosty",
    "gentle", "gifted", "golden", "grand", "hardy", "honest", "humble", "jolly", "keen", "lively",
    "lucid", "lunar", "mellow", "merry", "mighty", "misty", "modest", "neat", "nimble", "noble",
    "patient", "placid", "polite", "proud", "quiet", "rapid", "silver", "solid", "steady", "sunny",
    "tidy", "vivid", "warm", "witty",
];

/// Surnames of people who moved things, measured things or found ways, for the second half.
const SURNAMES: [&str; 80] = [
    "amundsen",
    "anning",
    "banneker",
    "barents",
    "bessel",
    "bly",
    "braille",
    "brahe",
    "carver",
    "cassini",
    "celsius",
    "chappe",
    "cook",
    "coriolis",
    "crick",
    "dampier",
    "davy",
    "diesel",
    "doppler",
    "drake",
    "earhart",
    "eiffel",
    "elcano",
    "euler",
    "faraday",
    "fermi",
    "fourier",
    "franklin",
    "fresnel",
    "fulton",
    "galois",
    "gauss",
    "germain",
    "goddard",
    "halley",
    "hamilton",
    "harrison",
    "herschel",
    "hooke",
    "hopper",
    "hubble",
    "humboldt",
    "huygens",
    "jacquard",
    "joule",
    "kelvin",
    "kepler",
    "kingsley",
    "kovalevskaya",
    "lamarr",
    "leavitt",
    "leibniz",
    "linnaeus",
    "lovelace",
    "magellan",
    "maxwell",
    "meitner",
    "mendel",
    "mercator",
    "mitchell",
    "morse",
    "nansen",
    "newcomen",
    "noether",
    "nobel",
    "ohm",
    "pascal",
    "pasteur",
    "piccard",
    "polo",
    "ride",
    "shackleton",
    "snow",
    "somerville",
    "stephenson",
    "tasman",
    "tereshkova",
    "volta",
    "watt",
    "zeppelin",
];

/// Checks a name that a user gave and takes a leading `/` off: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
pub fn validate(name: &str) -> Result<String, Failure> {
    let bare = name.strip_prefix('/').unwrap_or(name);
    let mut bytes = bare.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if first && rest && bare.len() >= 2 {
        Ok(bare.to_owned())
    } else {
        let shown: String = name.chars().take(200).collect();
        Err(Failure::invalid(format!(
            "Invalid container name ({shown}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )))
    }
}

/// A fresh name out of random bits; `attempt` beyond the fifth adds digits, so that a free one is found in the end.
pub fn fresh(random: u64, attempt: u32) -> String {
    let adjective = ADJECTIVES[(random % ADJECTIVES.len() as u64) as usize];
    let surname = SURNAMES[((random >> 16) % SURNAMES.len() as u64) as usize];
    if attempt < 6 {
        format!("{adjective}_{surname}")
    } else {
        format!("{adjective}_{surname}{}", (random >> 32) % 10_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validate_wants_two_characters_of_dockers_set() {
        assert_eq!(validate("/web.1").unwrap(), "web.1");
        for bad in ["", "a", "/", "-ab", "a/b", "a b", "ä1", "//ab"] {
            let failure = validate(bad).unwrap_err();
            assert_eq!(
                failure.message,
                format!(
                    "Invalid container name ({bad}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
                )
            );
        }
    }

    #[test]
    fn every_fresh_name_is_a_valid_name() {
        for step in 0..20_000u64 {
            let random = step.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            validate(&fresh(random, 0)).unwrap();
            validate(&fresh(random, 9)).unwrap();
        }
    }

    #[test]
    fn no_word_stands_twice() {
        for words in [&ADJECTIVES[..], &SURNAMES[..]] {
            let distinct: std::collections::BTreeSet<_> = words.iter().collect();
            assert_eq!(distinct.len(), words.len());
        }
    }
}
