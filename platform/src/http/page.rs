//! Which part of a list is asked for: `limit` and `after` of a query string.

use super::problem::{Problem, Reason};

const DEFAULT: u32 = 100;

/// A page of a list.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// How much at most.
    pub limit: u32,
    /// The place after which it begins.
    pub after: i64,
}

impl Page {
    /// Reads a query string of a list that gives out at most `most` at once.
    ///
    /// # Errors
    /// [`Reason::InvalidArgument`].
    pub fn parse(query: &str, most: u32) -> Result<Self, Problem> {
        let mut page = Self { limit: DEFAULT.min(most), after: 0 };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let bad = || {
                let detail = format!("the query takes limit (1 to {most}) and after");
                Problem::new(Reason::InvalidArgument, detail)
            };
            match pair.split_once('=').ok_or_else(bad)? {
                ("limit", value) => page.limit = value.parse().map_err(|_| bad())?,
                ("after", value) => page.after = value.parse().map_err(|_| bad())?,
                _ => return Err(bad()),
            }
            if !(1..=most).contains(&page.limit) || page.after < 0 {
                return Err(bad());
            }
        }
        Ok(page)
    }
}
