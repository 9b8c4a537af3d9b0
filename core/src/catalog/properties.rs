//! Privileges of a database: read from an archive's list, given by those who gave them.

use super::ident;

/// Privileges of a database, one row each: grantor, grantee (empty for PUBLIC), what, whether it
/// may be passed on.
pub const PRIVILEGES: &str = "
SELECT pg_catalog.pg_get_userbyid(a.grantor),
       CASE WHEN a.grantee = 0 THEN '' ELSE pg_catalog.pg_get_userbyid(a.grantee) END,
       a.privilege_type, a.is_grantable
  FROM pg_catalog.aclexplode($1::text[]::aclitem[]) a";

/// One of [`PRIVILEGES`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Privilege {
    pub grantor: String,
    /// Empty for PUBLIC.
    pub grantee: String,
    pub what: String,
    pub grantable: bool,
}

/// Takes away what PUBLIC and the owner of a new database have.
pub fn revoke_all(database: &str, owner: &str) -> String {
    format!("REVOKE ALL ON DATABASE {} FROM PUBLIC, {}", ident(database), ident(owner))
}

/// Gives a privilege as its grantor, inside a transaction.
pub fn grant(database: &str, privilege: &Privilege) -> [String; 3] {
    let Privilege { grantor, grantee, what, grantable } = privilege;
    let to = if grantee.is_empty() { "PUBLIC".to_owned() } else { ident(grantee) };
    let option = if *grantable { " WITH GRANT OPTION" } else { "" };
    [
        format!("SET LOCAL SESSION AUTHORIZATION {}", ident(grantor)),
        format!("GRANT {what} ON DATABASE {} TO {to}{option}", ident(database)),
        "RESET SESSION AUTHORIZATION".to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_privilege_is_given_by_its_grantor_and_only_by_him() {
        let privilege = Privilege {
            grantor: "a\"b".to_owned(),
            grantee: String::new(),
            what: "CONNECT".to_owned(),
            grantable: true,
        };
        assert_eq!(
            grant("d", &privilege),
            [
                "SET LOCAL SESSION AUTHORIZATION \"a\"\"b\"",
                "GRANT CONNECT ON DATABASE \"d\" TO PUBLIC WITH GRANT OPTION",
                "RESET SESSION AUTHORIZATION"
            ]
        );
    }
}
