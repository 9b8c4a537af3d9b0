//! The way back into the server: one client connection, interruptible.
//!
//! Every wait is raced against a tick that asks the [`Control`] whether to go on; when not, the
//! statement is cancelled on the server before the failure goes up. A worker that waits for the
//! server without looking up would hang shutdown and `DROP DATABASE`.

use std::future::Future;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Row};

use crate::decide::major::session_options;
use crate::decide::settings::Access;
use crate::error::{Class, Failure, Result};
use crate::host::cancel::{Address, cancel};
use crate::host::control::Control;
use crate::host::{passfile, sql_error};

/// How often a wait looks up.
pub const TICK: Duration = Duration::from_millis(50);
/// How long connecting may take.
const CONNECT_TIME: Duration = Duration::from_secs(30);
/// How long the cancel request itself may take.
const CANCEL_TIME: Duration = Duration::from_secs(2);

/// Catalog queries look expensive to the planner; compiling one takes longer than running it.
const BEGIN_WITH: &str = "SET search_path = pg_catalog, pg_temp; SET jit = off";

/// One session in one database of this server.
pub struct Server {
    client: Client,
    address: Address,
    /// Process id of the backend.
    pub pid: i32,
    pub database: String,
    /// Encoding of the database, by its name in PostgreSQL.
    pub encoding: String,
}

impl Server {
    /// Connects to `database` as `application`. Errors: `UndefinedDatabase`,
    /// `TooManyConnections`, `Connection`, or what the control says.
    pub async fn connect(
        access: &Access,
        control: &dyn Control,
        database: &str,
        application: &str,
    ) -> Result<Server> {
        match Self::connect_once(access, control, database, application).await {
            // So ends a connection that has waited for a swap: the name is another database's now.
            Err(failure) if failure.class == Class::UndefinedDatabase => {
                Self::connect_once(access, control, database, application).await
            }
            tried => tried,
        }
    }

    async fn connect_once(
        access: &Access,
        control: &dyn Control,
        database: &str,
        application: &str,
    ) -> Result<Server> {
        let mut config = Config::new();
        config
            .host(&access.host)
            .port(access.port)
            .user(&access.user)
            .dbname(database)
            .application_name(application)
            .connect_timeout(CONNECT_TIME)
            .options(session_options(access.major));
        if let Some(password) = passfile::password(access, database)? {
            config.password(password);
        }
        let explain = |error| sql_error::connecting(access, database, &error);
        let connecting = async { config.connect(NoTls).await.map_err(explain) };
        let (client, connection) = guard(control, CONNECT_TIME, connecting).await?;
        let encoding = connection.parameter("server_encoding").unwrap_or_default().to_owned();
        tokio::spawn(connection);
        let address = Address { host: access.host.clone(), port: access.port };
        let database = database.to_owned();
        let mut server = Server { client, address, pid: 0, database, encoding };
        server.batch(control, BEGIN_WITH).await?;
        server.pid = server.one(control, "SELECT pg_catalog.pg_backend_pid()", &[]).await?.get(0);
        Ok(server)
    }

    /// Runs statements without parameters.
    pub async fn batch(&self, control: &dyn Control, sql: &str) -> Result<()> {
        self.raced(control, self.client.batch_execute(sql)).await
    }

    /// Runs one statement; gives the number of rows it touched.
    pub async fn execute(
        &self,
        control: &dyn Control,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<u64> {
        self.raced(control, self.client.execute(sql, params)).await
    }

    /// Runs one query; gives all rows.
    pub async fn rows(
        &self,
        control: &dyn Control,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        self.raced(control, self.client.query(sql, params)).await
    }

    /// Runs a query that gives exactly one row.
    pub async fn one(
        &self,
        control: &dyn Control,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Row> {
        self.raced(control, self.client.query_one(sql, params)).await
    }

    /// Pours what `out` (`COPY … TO STDOUT`) gives in this session into `into` (`COPY … FROM
    /// STDIN`) of another one.
    pub async fn pour(
        &self,
        control: &dyn Control,
        out: &str,
        other: &Server,
        into: &str,
    ) -> Result<()> {
        let poured = async {
            let mut from = std::pin::pin!(self.client.copy_out(out).await?);
            let mut to = std::pin::pin!(other.client.copy_in::<_, bytes::Bytes>(into).await?);
            while let Some(chunk) = from.next().await {
                to.send(chunk?).await?;
            }
            to.finish().await
        };
        self.raced(control, poured).await.map(drop)
    }

    /// Gives every row that `sql` (`COPY … TO STDOUT`) sends to `each`, as it is; the first error
    /// ends it.
    pub async fn copy_out(
        &self,
        control: &dyn Control,
        sql: &str,
        mut each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut refused = Ok(());
        let copied = async {
            let mut rows = std::pin::pin!(self.client.copy_out(sql).await?);
            while let Some(row) = rows.next().await {
                refused = each(&row?);
                if refused.is_err() {
                    break;
                }
            }
            Ok(())
        };
        self.raced(control, copied).await?;
        refused
    }

    /// Whether the connection is gone.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    async fn raced<T>(
        &self,
        control: &dyn Control,
        statement: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T> {
        let explain = |error| sql_error::statement(&self.database, &self.encoding, &error);
        let statement = async { statement.await.map_err(explain) };
        match guard(control, Duration::MAX, statement).await {
            Err(failure)
                if failure.class == Class::Cancelled
                    || failure.class == Class::Interrupted
                    || failure.class == Class::Deadlock
                    || failure.class == Class::Timeout =>
            {
                self.cancel().await;
                Err(failure)
            }
            other => other,
        }
    }

    /// Has the server cancel what this session runs. What it is sent after that is not hit.
    pub async fn cancel(&self) {
        let token = self.client.cancel_token();
        // A cancel request that does not get through changes nothing: the session ends with us.
        let _ = tokio::time::timeout(CANCEL_TIME, cancel(&token, &self.address)).await;
    }
}

/// Races `work` against the control and a time limit.
pub async fn guard<T>(
    control: &dyn Control,
    limit: Duration,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let started = Instant::now();
    let mut tick = tokio::time::interval(TICK);
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            result = &mut work => return result,
            _ = tick.tick() => control.proceed()?,
        }
        if started.elapsed() >= limit {
            let seconds = limit.as_secs();
            return Err(Failure::new(Class::Timeout, format!("no answer within {seconds} s")));
        }
    }
}
