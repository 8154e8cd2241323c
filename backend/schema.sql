-- The tables of Tally. Run by `tally-backend --migrate`, as often as one likes, on MySQL 8.0 to 9
-- and MariaDB from 10.11. It only ever expands: nothing is dropped, narrowed or renamed, so that the
-- release before this one goes on working.

CREATE TABLE IF NOT EXISTS users (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    userName VARCHAR(255) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4;

-- A table of one column, as the predecessors made it, gets the id that keeps the order of insertion.
-- MySQL knows no ADD COLUMN IF NOT EXISTS: the statement is made only where it is needed.
SET @has_id = (SELECT COUNT(*) FROM information_schema.columns
               WHERE table_schema = DATABASE() AND table_name = 'users' AND column_name = 'id');
SET @has_primary = (SELECT COUNT(*) FROM information_schema.table_constraints
                    WHERE table_schema = DATABASE() AND table_name = 'users'
                    AND constraint_type = 'PRIMARY KEY');
SET @statement = IF(@has_id > 0, 'DO 0',
    CONCAT('ALTER TABLE users ADD COLUMN id BIGINT NOT NULL AUTO_INCREMENT ',
           IF(@has_primary > 0, 'UNIQUE KEY', 'PRIMARY KEY'), ' FIRST'));
PREPARE expand FROM @statement;
EXECUTE expand;
DEALLOCATE PREPARE expand;

-- Fails where a table of this name is something else.
SELECT id, userName FROM users LIMIT 0;
