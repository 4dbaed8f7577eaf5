#pragma once

// The key columns that most statements begin with. Internal to server/store.

#include <utility>

#include "server/store/sqlite_db.h"
#include "server/store/tables.h"

namespace fedwatt {

// tenant, population, job
inline SqliteQuery&& BindScope(SqliteQuery&& query, const JobScope& scope) {
  query.Bind(scope.tenant).Bind(scope.population).Bind(scope.job);
  return std::move(query);
}

// tenant, population, job, evaluation, round, attempt
inline SqliteQuery&& BindAttempt(SqliteQuery&& query, const JobScope& scope, const RoundKey& key) {
  query.Bind(scope.tenant).Bind(scope.population).Bind(scope.job);
  query.Bind(key.evaluation ? 1 : 0);
  query.Bind(static_cast<int64_t>(key.round)).Bind(static_cast<int64_t>(key.attempt));
  return std::move(query);
}

}  // namespace fedwatt
