//! Roles and tablespaces that are missing, from what `pg_dumpall --globals-only` wrote.
//!
//! In: the text of `globals.sql`, and what the server has. Out: the statements to run, in their
//! order, each as it stands in the file. What must hold: only statements of known shapes, only
//! about what is missing; what exists is never touched. Nothing of it is shown: it holds hashes of
//! passwords.

mod lexer;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use lexer::{Statement, Token, statements};

/// What one statement is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum About {
    NewRole(String),
    /// Attributes, settings or the comment of a role.
    Role {
        name: String,
        superuser: bool,
    },
    Membership {
        role: String,
        member: String,
    },
    NewTablespace(Tablespace),
    /// Options, privileges or the comment of a tablespace.
    Tablespace(String),
    /// A privilege on a setting of the server.
    Parameter {
        grantee: String,
    },
}

/// A tablespace of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tablespace {
    pub name: String,
    pub owner: String,
    pub location: String,
}

/// What the file knows.
#[derive(Debug, Clone, Default)]
pub struct Globals {
    statements: Vec<(String, About)>,
}

/// What will be made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Missing {
    pub roles: Vec<String>,
    /// Those among them that are superusers.
    pub superusers: Vec<String>,
    /// One transaction.
    pub role_statements: Vec<String>,
    pub tablespaces: Vec<Tablespace>,
    /// Outside of a transaction, after the roles.
    pub tablespace_statements: Vec<String>,
    /// Memberships that are left out, because one side is nowhere.
    pub left_out: usize,
}

impl Globals {
    /// Reads the file. What is not understood is left out.
    pub fn read(text: &str) -> Globals {
        let known = |statement: Statement| Some((statement.text, about(&statement.tokens)?));
        Globals { statements: statements(text).into_iter().filter_map(known).collect() }
    }

    /// What of it is missing on a server that has `roles`; of the tablespaces only `wanted`.
    pub fn missing(&self, roles: &HashSet<String>, wanted: &[String]) -> Missing {
        let mut missing = Missing::default();
        for (_, about) in &self.statements {
            match about {
                About::NewRole(name) if !roles.contains(name) => missing.roles.push(name.clone()),
                About::NewTablespace(space) if wanted.contains(&space.name) => {
                    missing.tablespaces.push(space.clone());
                }
                _ => {}
            }
        }
        let new: HashSet<String> = missing.roles.iter().cloned().collect();
        let there = |name: &String| new.contains(name) || roles.contains(name);
        for (text, about) in &self.statements {
            let to = match about {
                About::NewRole(name) if new.contains(name) => &mut missing.role_statements,
                About::Role { name, superuser } if new.contains(name) => {
                    if *superuser {
                        missing.superusers.push(name.clone());
                    }
                    &mut missing.role_statements
                }
                About::Membership { role, member }
                    if new.contains(role) || new.contains(member) =>
                {
                    if !there(role) || !there(member) {
                        missing.left_out += 1;
                        continue;
                    }
                    &mut missing.role_statements
                }
                About::Parameter { grantee } if new.contains(grantee) => {
                    &mut missing.role_statements
                }
                About::NewTablespace(Tablespace { name, .. }) | About::Tablespace(name)
                    if missing.tablespaces.iter().any(|space| space.name == *name) =>
                {
                    &mut missing.tablespace_statements
                }
                _ => continue,
            };
            to.push(text.clone());
        }
        missing
    }
}

/// What a statement is about; none for one of another shape.
fn about(tokens: &[Token]) -> Option<About> {
    let word = |at: usize, word: &str| tokens.get(at).is_some_and(|token| token.is(word));
    let name = |at: usize| tokens.get(at).and_then(Token::name);
    let position = |word: &str| tokens.iter().position(|token| token.is(word));
    if word(0, "create") && word(1, "role") && tokens.len() == 3 {
        return name(2).map(About::NewRole);
    }
    if word(0, "alter") && word(1, "role") && !word(3, "in") {
        // WITH may be missing, and quotes be there. The word may also be a setting's value: a
        // name too many is better than one too few.
        let superuser = tokens.iter().any(|t| t.name().is_some_and(|name| name == "superuser"));
        return name(2).map(|name| About::Role { name, superuser });
    }
    if word(0, "create") && word(1, "tablespace") && word(3, "owner") && word(5, "location") {
        let location = tokens.get(6).and_then(Token::text)?;
        let (name, owner) = (name(2)?, name(4)?);
        return Some(About::NewTablespace(Tablespace { name, owner, location }));
    }
    if word(0, "alter") && word(1, "tablespace") {
        return name(2).map(About::Tablespace);
    }
    if word(0, "comment") && word(1, "on") {
        return match (word(2, "role"), word(2, "tablespace")) {
            (true, _) => name(3).map(|name| About::Role { name, superuser: false }),
            (_, true) => name(3).map(About::Tablespace),
            _ => None,
        };
    }
    // A list would be about others too.
    let ends = |at: usize| tokens.len() == at || word(at, "with") || word(at, "granted");
    if word(0, "grant") && word(2, "to") && ends(4) {
        let (role, member) = (name(1)?, name(3)?);
        return Some(About::Membership { role, member });
    }
    if word(0, "grant") || word(0, "revoke") {
        let on = position("on")?;
        if word(on + 1, "tablespace") && (word(on + 3, "to") || word(on + 3, "from")) {
            return name(on + 2).map(About::Tablespace);
        }
        if word(on + 1, "parameter") && word(0, "grant") {
            let to = position("to").filter(|to| ends(to + 2))?;
            return name(to + 1).map(|grantee| About::Parameter { grantee });
        }
    }
    None
}
