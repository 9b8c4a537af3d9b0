//! Where a database stands whose restore died: what its name and its limit tell of how far that
//! came. Names are given by the restore, so another one means that somebody has taken it over.

/// What the row of the restore says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub id: u32,
    /// The name that it was made with; that of the kept database where it is swapped back.
    pub name: String,
    /// The name that it has in the end.
    pub database: String,
    /// It was there before, kept by an earlier restore.
    pub is_kept: bool,
    /// The restore had come to where it opens it: who finds it open before that has been let in by
    /// somebody else.
    pub is_whole: bool,
}

/// What the server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Now {
    pub name: String,
    /// Clients may connect: a restore lets them only when all is done.
    pub is_open: bool,
}

/// What that means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// All was done: it has its name, and clients are let in.
    Finished,
    /// It is somebody's now, who has given it another name or has opened it.
    Taken,
    /// A kept database that is to be closed again.
    Reopened,
    /// It is not whole, and nobody's.
    Unfinished,
}

/// Judges the database that has the id of `target` now.
#[must_use]
pub fn standing(target: &Target, now: &Now) -> Standing {
    // A database that takes the place of another has its name only when all is done.
    let is_new_name = target.name != target.database;
    match () {
        () if now.name == target.database && (is_new_name || now.is_open && target.is_whole) => {
            Standing::Finished
        }
        () if now.name != target.name => Standing::Taken,
        () if target.is_kept => Standing::Reopened,
        () if now.is_open => Standing::Taken,
        () => Standing::Unfinished,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(made_as: &str, database: &str, is_kept: bool, now: &str, is_open: bool) -> Standing {
        let (name, database) = (made_as.to_owned(), database.to_owned());
        let target = Target { id: 1, name, database, is_kept, is_whole: !is_kept };
        standing(&target, &Now { name: now.to_owned(), is_open })
    }

    #[test]
    fn only_the_live_name_tells_that_a_swap_has_happened() {
        let staging = |now: &str, is_open| judged("app_restoring_7", "app", false, now, is_open);
        assert_eq!(staging("app", true), Standing::Finished);
        // The original may have had a limit of 0.
        assert_eq!(staging("app", false), Standing::Finished);
        assert_eq!(staging("app_restoring_7", false), Standing::Unfinished);
        assert_eq!(staging("mine", false), Standing::Taken);
        assert_eq!(staging("mine", true), Standing::Taken);
        assert_eq!(staging("app_restoring_7", true), Standing::Taken);
    }

    #[test]
    fn a_new_database_is_whole_when_it_is_open() {
        let plain = |now: &str, is_open| judged("copy", "copy", false, now, is_open);
        assert_eq!(plain("copy", true), Standing::Finished);
        assert_eq!(plain("copy", false), Standing::Unfinished);
        assert_eq!(plain("mine", false), Standing::Taken);
    }

    #[test]
    fn a_new_database_that_was_opened_before_it_was_whole_is_somebody_s() {
        let name = "copy".to_owned();
        let target = Target {
            id: 1,
            name: name.clone(),
            database: name.clone(),
            is_kept: false,
            is_whole: false,
        };
        let now = |is_open| standing(&target, &Now { name: name.clone(), is_open });
        assert_eq!(now(true), Standing::Taken);
        assert_eq!(now(false), Standing::Unfinished);
    }

    #[test]
    fn a_kept_database_is_never_unfinished() {
        for is_open in [true, false] {
            let kept = |now: &str| judged("app_before_7", "app", true, now, is_open);
            assert_eq!(kept("app"), Standing::Finished);
            assert_eq!(kept("app_before_7"), Standing::Reopened);
            assert_eq!(kept("mine"), Standing::Taken);
        }
    }
}
