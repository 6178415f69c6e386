package bitbucket

import (
	"os"
	"testing"

	"magpie/internal/bitbucketsim"
)

// versions are the simulated Bitbuckets: the oldest that is supported, the last of the 7 line, and one of each later line.
var versions = []string{"7.6.0", "7.21.0", "8.9.0", "9.4.0", "10.2.0"}

// requirement is one line of the checklist.
type requirement struct {
	id   string // as in docs/bitbucket.md, such as "B9"
	name string // of the test, behind the id
	test func(*world)
	opts bitbucketsim.Options // of its Bitbucket; the version is filled in
}

// checklist is every requirement, in order. A requirement may have several tests.
var checklist = []requirement{
	{id: "B1", name: "push_becomes_incident", test: pushBecomesIncident},
	{id: "B2", name: "two_ways_are_offered", test: twoWaysOffered},
	{id: "B3", name: "cloud_is_refused", test: cloudIsRefused},
	{id: "B4", name: "token_is_required", test: tokenIsRequired},
	{id: "B5", name: "permissions_are_named", test: permissionsAreNamed},
	{id: "B6", name: "only_owner_and_manager", test: onlyOwnerAndManager},
	{id: "B7", name: "new_project_is_found_by_itself", test: newProjectIsFound},
	{id: "B8", name: "certificates_are_verified", test: certificatesAreVerified},
	{id: "B9", name: "events_are_signed", test: eventsAreSigned},
	{id: "B10", name: "old_version_is_refused", test: oldVersionIsRefused},
	{id: "B11", name: "bot_user_is_advised", test: guideStandsNextToTheForm},
	{id: "B12", name: "way_to_the_token_is_shown", test: guideStandsNextToTheForm},
	{id: "B13", name: "revoking_first_is_warned_of", test: guideStandsNextToTheForm},
	{id: "B14", name: "removal_deletes_the_hooks", test: removalDeletesTheHooks},
	{id: "B15", name: "whole_instance_is_monitored", test: wholeInstanceIsMonitored},
	{id: "B16", name: "later_project_is_monitored", test: newProjectIsFound},
	{id: "B17", name: "later_repository_is_monitored", test: newRepositoryIsFound},
	{id: "B18", name: "administrator_is_needed", test: administratorIsNeeded},
	{id: "B19", name: "path_has_the_known_labels", test: settingsPathHasTheKnownLabels},
	{id: "B20", name: "form_takes_address_and_token", test: formTakesAddressAndToken},
	{id: "B21", name: "https_is_required", test: httpsIsRequired},
	{id: "B22", name: "address_is_scheme_and_host", test: addressIsSchemeAndHost},
	{id: "B22", name: "context_path_works", test: contextPathWorks, opts: bitbucketsim.Options{ContextPath: "/bitbucket"}},
	{id: "B23", name: "perimeter_is_linked", test: perimeterIsLinked},
	{id: "B24", name: "hooks_subscribe_to_two_events", test: hooksSubscribeToTwoEvents},
	{id: "B25", name: "several_instances", test: severalInstances},
	{id: "B26", name: "set_up_is_resumable", test: setUpIsResumable},
	{id: "B27", name: "only_chosen_projects", test: onlyChosenProjects},
	{id: "B28", name: "new_repository_in_chosen_project", test: newRepositoryInChosenProject},
	{id: "B29", name: "new_project_is_not_taken", test: newProjectIsNotTaken},
	{id: "B30", name: "project_administrator_suffices", test: projectAdministratorSuffices},
	{id: "B31", name: "projects_are_listed_and_installed", test: projectsAreListedAndInstalled},
	{id: "B32", name: "several_tokens_of_one_instance", test: severalTokensOfOneInstance},
	{id: "B32a", name: "both_modes_side_by_side", test: bothModesSideBySide},
	{id: "B33", name: "expired_token_is_noticed", test: expiredTokenIsNoticed},
	{id: "B33", name: "revoked_token_is_noticed", test: revokedTokenIsNoticed},
	{id: "B33", name: "deleted_owner_is_noticed", test: deletedOwnerIsNoticed},
	{id: "B33", name: "expiry_is_announced", test: expiryIsAnnounced},
	{id: "B34", name: "one_mail_for_each_death", test: oneMailForEachDeath},
	{id: "B35", name: "data_stays_accessible", test: dataStaysAccessible},
	{id: "B36", name: "new_token_catches_up", test: newTokenCatchesUp},
	{id: "B36a", name: "passing_trouble_is_no_death", test: passingTroubleIsNoDeath},
	{id: "B36a", name: "lapsed_licence_is_no_death", test: lapsedLicenceIsNoDeath},
	{id: "B37", name: "history_is_scanned_by_default", test: historyIsScannedByDefault},
	{id: "B38", name: "autoscan_can_be_switched_off", test: autoscanCanBeSwitchedOff},
	{id: "B39", name: "switch_counts_for_later_additions", test: switchCountsForLaterAdditions},
	{id: "B40", name: "repositories_are_chosen", test: repositoriesAreChosen},
	{id: "B41", name: "deselected_receives_nothing", test: deselectedReceivesNothing},
	{id: "B42", name: "reselected_catches_up", test: reselectedCatchesUp},
	{id: "B42a", name: "new_ones_are_left_alone", test: newOnesAreLeftAlone},
	{id: "B43", name: "tuning_is_advised", test: tuningIsAdvised},
	{id: "B43", name: "tuning_is_computed", test: tuningIsComputed},
	{id: "B44", name: "disorder_ends_the_same", test: disorderEndsTheSame},
	{id: "B44", name: "pushed_and_forced_away", test: pushedAndForcedAway},
	{id: "B44", name: "coverage_is_proven", test: coverageIsProven},
}

// TestChecklist proves every requirement: on the newest version and on one of the older ones, by turns; with
// MAGPIE_ALL_VERSIONS set (`make checklist`) on every version.
func TestChecklist(t *testing.T) {
	for n, version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			t.Run("requirements", func(t *testing.T) { // ends before the server does
				for i, r := range checklist {
					if older := len(versions) - 1; n < older && i%older != n && os.Getenv("MAGPIE_ALL_VERSIONS") == "" {
						continue
					}
					t.Run(r.id+"_"+r.name, func(t *testing.T) {
						t.Parallel()
						opts := r.opts
						opts.Version = version
						r.test(newWorld(t, s, opts))
					})
				}
			})
		})
	}
}

func pushBecomesIncident(w *world) {
	i := w.connect("instance")
	w.watched(i, "ALPHA/one", "BETA/two")
	if v := w.found(w.old); !v.FromHistory {
		w.Error("the leak of the past is not said to be of the past")
	}
	l := w.pushLeak("BETA/two")
	if v := w.found(l); v.FromHistory || v.FirstRepo != "BETA/two" || v.Status != "triggered" {
		w.Errorf("the pushed leak became %+v", v)
	}
}
