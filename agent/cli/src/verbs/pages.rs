//! Lists that come in pages.

use crate::context::Context;
use crate::error::Error;

/// How many items are listed at most.
pub const LIST_LIMIT: usize = 100_000;

/// One page of a list.
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where to go on; empty at the end.
    pub next: String,
}

/// A list from its first page on, up to [`LIST_LIMIT`]; `advice` says what to do when there is more, which is warned of.
///
/// # Errors
/// What `fetch` gives for a token; FORMAT_INVALID for a list that does not come to an end.
pub async fn all<T>(
    what: &str,
    advice: &str,
    context: &Context,
    mut fetch: impl AsyncFnMut(String) -> Result<Page<T>, Error>,
) -> Result<Vec<T>, Error> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let page = fetch(token.clone()).await?;
        // A platform could say for ever that there is more.
        let moves = !page.items.is_empty() && page.next != token;
        all.extend(page.items);
        token = page.next;
        if token.is_empty() {
            break;
        }
        if !moves {
            let text = format!("the platform's list of {what} does not come to an end");
            return Err(Error::data("FORMAT_INVALID", text));
        }
        if all.len() >= LIST_LIMIT {
            let text = format!("there are more {what} than the {LIST_LIMIT} listed{advice}");
            context.output.warn("LIST_INCOMPLETE", &text);
            break;
        }
    }
    all.truncate(LIST_LIMIT);
    Ok(all)
}
