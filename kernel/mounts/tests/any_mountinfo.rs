//! Whatever a table of mounts says, it is read or refused.

use mounts::mountinfo::parse;
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_table_is_read_line_by_line_or_refused(
        lines in prop::collection::vec("[0-9]{1,3} [0-9]{1,3} [0-9]:[0-9] /[a-z\\\\0-9]{0,6} /[a-z\\\\0-9]{0,6} rw( shared:[0-9])? - [a-z]{1,4} [a-z]{1,4} rw", 0..8),
        junk in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        prop_assert_eq!(parse(lines.join("\n").as_bytes()).map(|mounts| mounts.len()), Ok(lines.len()));
        let _whatever = parse(&junk);
    }
}
