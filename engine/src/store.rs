//! Tables of the database.
